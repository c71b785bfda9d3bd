"""What must agree for a study to go on: what was run, scored and chosen, with what is asked now.

More labels, seeds and evaluations are no change.
"""

import pathlib
from collections.abc import Iterator, Sequence

from ml_collections import ConfigDict

from contrastive_jax import checkpoint_names, errors, reading, stored
from contrastive_jax import config as config_lib
from contrastive_jax.study import cells as cells_lib
from contrastive_jax.study import layout, questions
from contrastive_jax.study.cells import Cell

_SHOWN = 6


def check(study: ConfigDict, root: pathlib.Path, cells: Sequence[Cell]) -> None:
  """Raises `UserError` if the folder holds another study, cell by cell; writes nothing."""
  begun = layout.read(root / "study.json", {"name": str}) or {}
  if begun.get("name", study.name) != study.name:
    raise errors.UserError(
      f"{root} holds the study {begun['name']}, not {study.name}; give another --workdir"
    )
  found = [*_of_choices(study, root), *_of_cells(study, root, cells)]
  if found:
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    raise errors.UserError(
      f"{root} holds another study: {'; '.join(found[:_SHOWN])}{more}; give a new --workdir, or "
      "the config that it began with"
    )


def _of_cells(study: ConfigDict, root: pathlib.Path, cells: Sequence[Cell]) -> Iterator[str]:
  asked = [*questions.on_test(study), *filter(None, [questions.held_out(study)])]
  for cell in cells:
    workdir = layout.cell(root, cell.name)
    if not checkpoint_names.any_saved(reading.names_in(workdir / "checkpoints")):
      continue  # the config of a run that never came to a checkpoint binds nobody
    before = _config(workdir / "config.json")
    if before is not None:
      for line in config_lib.differences(before, cells_lib.resolve(cell)):
        yield f"cell {cell.name}: {line}"
    step = layout.record(root, cell.name).get("step")
    for question in asked:
      kinds = {"checkpoint_step": int, "config": dict}
      scored = layout.read(workdir / "eval" / f"{question.name}.json", kinds, needed=tuple(kinds))
      if scored and step == scored["checkpoint_step"] and question.name in _scored(root, cell):
        for line in questions.differences(scored["config"], question):
          yield f"cell {cell.name}, evaluation {question.name}: {line}"


def _config(path: pathlib.Path) -> ConfigDict | None:
  content = reading.content(path)
  try:
    return None if content is None else stored.config(content)
  except ValueError as error:
    what = f"is of no run ({error})" if isinstance(error, errors.UserError) else str(error)
    raise errors.UserError(f"{path} {what}; put a good copy there, or remove the folder") from error


def _scored(root: pathlib.Path, cell: Cell) -> list[str]:
  return layout.record(root, cell.name).get("scored", [])


def _of_choices(study: ConfigDict, root: pathlib.Path) -> Iterator[str]:
  by = study.choose_by or study.measure
  for name, made in layout.choices(root).items():
    if not study.choose or set(made["chosen"]) != set(study.choose):
      yield f"choice {name}: choose {', '.join(made['chosen'])} -> {', '.join(study.choose)}"
    elif made["by"] != by:
      yield f"choice {name}: choose_by {made['by']} -> {by}"
