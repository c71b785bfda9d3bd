"""Which label of an axis is the best, by images held out of the training set.

The cells that share all other labels are a group; the label with the best mean over the seeds, or
over the first `choose_seeds` of them, is chosen, the first of equals. A run whose loss did not stay
finite is worse than any. The choice is written down before its cells are scored on test images, and
stands from then on. Seeds that do not choose are run with the chosen label alone.
"""

import json
import math
import pathlib
from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict

from contrastive_jax import errors
from contrastive_jax.study import cells as cells_lib
from contrastive_jax.study import layout, measure, questions
from contrastive_jax.study.cells import Cell
from contrastive_jax.study.place import Place
from contrastive_jax.study.questions import Question


def groups(study: ConfigDict, cells: Sequence[Cell]) -> dict[str, list[Cell]]:
  """Returns the cells by the name of their group, in order; each alone where nothing is chosen."""
  found: dict[str, list[Cell]] = {}
  for cell in cells:
    found.setdefault(group_of(study, cell), []).append(cell)
  return found


def group_of(study: ConfigDict, cell: Cell) -> str:
  """Returns the name of a cell's group."""
  return cells_lib.name_of(cells_lib.group(study, cell)) if study.choose else cell.name


def has_a_say(study: ConfigDict, cell: Cell) -> bool:
  """Returns whether a cell is one of those that choose."""
  return bool(study.choose) and cell.seed in study.seeds[: study.choose_seeds or None]


def is_settled(study: ConfigDict, cell: Cell, record: dict[str, Any]) -> bool:
  """Returns whether a failed cell has had its say: training it again would end alike."""
  failed = record.get("state") == layout.FAILED and _diverged(record.get("exit_code"))
  return failed and has_a_say(study, cell)


def is_left_out(study: ConfigDict, root: pathlib.Path, cell: Cell) -> bool:
  """Returns whether a cell is not to be run, as far as is known now: it neither chooses nor was."""
  return not has_a_say(study, cell) and not is_chosen(study, root, cell)


def is_passed_over(study: ConfigDict, root: pathlib.Path, cell: Cell) -> bool:
  """Returns whether a cell is never to be run: it does not choose, and another was chosen."""
  made = study.choose and layout.read_choice(layout.choice(root, group_of(study, cell)))
  return bool(made) and is_left_out(study, root, cell)


def is_chosen(study: ConfigDict, root: pathlib.Path, cell: Cell) -> bool:
  """Returns whether a cell is to be scored on test images, as far as is known now."""
  if not study.choose:
    return True
  made = layout.read_choice(layout.choice(root, group_of(study, cell)))
  return made is not None and _label(cell, study.choose) == made["chosen"]


def choose(
  study: ConfigDict, place: Place, group: Sequence[Cell], question: Question
) -> dict[str, Any] | None:
  """Writes down the choice of a group if all its cells have their scores, unless there is one.

  Args:
    study: that chooses.
    place: where it lies.
    group: all cells of one.
    question: what was asked on images held out.

  Returns:
    The choice that stands: `group` and `chosen` (labels), `by` (the figure), `means` and `seeds`;
    None: there is none yet. `instead`: what these scores would choose, where that is another.
  """
  path = layout.choice(place.root, group_of(study, group[0]))
  made, found = layout.read_choice(path), _best(study, place.root, group, question)
  if made is None and found is not None:
    place.write_first(path, json.dumps(found, indent=2) + "\n")
    made = layout.read_choice(path)  # another study may have been first
  if made and found and found["chosen"] != made["chosen"]:
    return made | {"instead": found["chosen"]}
  return made


def _best(
  study: ConfigDict, root: pathlib.Path, group: Sequence[Cell], question: Question
) -> dict[str, Any] | None:
  by = study.choose_by or study.measure
  scores: dict[str, list[float]] = {}
  labels: dict[str, dict[str, str]] = {}
  choosing = [cell for cell in group if has_a_say(study, cell)]
  for cell in choosing:
    value = _score(study, root, cell, question, measure.parse(by))
    if value is None:
      return None
    label = _label(cell, study.choose)
    name = cells_lib.name_of(label)
    scores.setdefault(name, []).append(value)
    labels[name] = label
  means = {name: sum(values) / len(values) for name, values in scores.items()}
  best = max(means, key=means.__getitem__)  # the first of equals
  if means[best] == -math.inf:
    return None
  return {
    "group": cells_lib.group(study, group[0]),
    "chosen": labels[best],
    "by": by,
    "means": {name: mean if math.isfinite(mean) else None for name, mean in means.items()},
    "seeds": sorted({cell.seed for cell in choosing}),
  }


def _score(
  study: ConfigDict, root: pathlib.Path, cell: Cell, question: Question, figure: measure.Score
) -> float | None:
  """Returns a cell's score on images held out, None if it has none yet."""
  record = layout.record(root, cell.name)
  if is_settled(study, cell, record):
    return -math.inf
  if record.get("state") != layout.DONE:
    return None
  found = questions.answer(layout.cell(root, cell.name), question, record.get("step"))
  return found and measure.in_result(figure, found)


def _label(cell: Cell, axes: Sequence[str]) -> dict[str, str]:
  return {axis: label for axis, label in cell.labels.items() if axis in axes}


def _diverged(code: int | None) -> bool:
  return code == errors.EXIT_NON_FINITE
