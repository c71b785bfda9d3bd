"""The seam for whoever searches: one more cell, trained and scored on images held out.

  from contrastive_jax import config_files
  from contrastive_jax.study import search
  study = config_files.load("studies/batch_size:cpu", config_files.STUDIES)
  score = search.run_cell(study, {"optimizer.base_lr": 0.2}, "runs/search")

It returns what a search wants to be large; which values come next is the search's business.
"""

import os
import pathlib
import re
import signal
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from contrastive_jax import errors, paths
from contrastive_jax.study import cells as cells_lib
from contrastive_jax.study import config as study_config
from contrastive_jax.study import layout, measure, questions
from contrastive_jax.study.cells import Cell
from contrastive_jax.study.children import Children
from contrastive_jax.study.place import Place
from contrastive_jax.study.work import ELSEWHERE, LEFT, Work


def run_cell(
  study: ConfigDict,
  changes: Mapping[str, Any],
  root: str | os.PathLike,
  seed: int = 0,
  children: Children | None = None,
) -> float:
  """Trains the base config of a study with these changes, unless it was; returns its score.

  Args:
    study: of which `base`, `changes`, `evaluations` and `choose_by` (or `measure`) count; its axes
      do not.
    changes: {dotted key: value} besides.
    root: folder of the search.
    seed: of the run.
    children: start its processes; None: two restarts of one that dies.

  Returns:
    The figure by which the study chooses, on images held out of the training set; -inf if the loss
    did not stay finite.

  Raises:
    UserError: the changes cannot work, another process works on the same, or it failed.
  """
  study = study_config.resolve(study)
  study.choose, study.choose_seeds = ("",), 0  # nothing but the figure that chooses is asked
  root = pathlib.Path(paths.local(root, "root"))
  cell = _cell(study, changes, seed)
  cells_lib.resolve(cell)
  children = children or Children(restarts=2)
  work = Work(study, Place(root))
  with children.listening():
    ended = work.do(cell, children, {}, layout.record(root, cell.name))
  record = layout.record(root, cell.name)
  if ended.state == LEFT and children.told == signal.SIGTERM:
    raise errors.Preempted("SIGTERM: the run has saved; the same call goes on")
  if ended.state == LEFT:
    raise KeyboardInterrupt
  if record.get("exit_code") == errors.EXIT_NON_FINITE:
    return float("-inf")
  if ended.state != layout.DONE:
    how = f"is under way elsewhere, by {ended.why}" if ended.state == ELSEWHERE else ended.why
    raise errors.UserError(f"cell {cell.name}: {how}")
  found = questions.answer(layout.cell(root, cell.name), work.held_out, record["step"])
  return measure.in_result(measure.parse(study.choose_by or study.measure), found)


def _cell(study: ConfigDict, changes: Mapping[str, Any], seed: int) -> Cell:
  texts = {key: re.sub(r"[^\w.+-]", "_", str(value)) for key, value in changes.items()}
  everything = {**cells_lib.QUIET, **study.changes, **changes, "seed": seed}
  return Cell(texts, seed, study.base, everything, cells_lib.name_of(texts, seed))
