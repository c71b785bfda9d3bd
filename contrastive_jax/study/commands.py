"""The commands that a cell consists of, as words: to be run, or to be read."""

import os
import shlex
from collections.abc import Sequence
from typing import Any

from contrastive_jax import options
from contrastive_jax.study.cells import Cell
from contrastive_jax.study.questions import Question


def train(workdir: str | os.PathLike, cell: Cell) -> list[str]:
  """Returns the words after `contrastive_jax` that train a cell, or go on with it."""
  return ["train", f"--config={cell.config}", f"--workdir={workdir}", *_overrides(cell.changes)]


def evaluate(workdir: str | os.PathLike, question: Question) -> list[str]:
  """Returns the words after `contrastive_jax` that score a cell."""
  asked = _overrides(question.changes)
  return ["eval", f"--config={question.spec}", f"--workdir={workdir}", *asked]


def shown(words: Sequence[str]) -> str:
  """Returns a command as a user would type it."""
  return shlex.join(["contrastive_jax", *words])


def _overrides(changes: dict[str, Any]) -> list[str]:
  return [f"--config.{key}={options.as_flag(value)}" for key, value in changes.items()]
