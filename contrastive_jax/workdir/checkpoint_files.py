"""The directories of checkpoints: listed, moved, removed.

What each means, and when it counts, is told in checkpoint.py.
"""

import os
import pathlib
import shutil
import sys

from contrastive_jax import checkpoint_names, reading
from contrastive_jax.workdir import foreign, manifest


def root(workdir: str) -> pathlib.Path:
  """Returns where the checkpoints of a run lie."""
  return pathlib.Path(workdir).absolute() / "checkpoints"


def steps_in(root: pathlib.Path) -> list[int]:
  """Returns the steps of the committed checkpoints, oldest first."""
  return checkpoint_names.steps(reading.names_in(root))


def any_in(root: pathlib.Path) -> bool:
  """Returns whether a save was ever committed there, be it damaged by now."""
  return checkpoint_names.any_saved(reading.names_in(root))


def remove_leftovers(root: pathlib.Path, of: str | None = None) -> None:
  """Removes what was never committed, of one save or of all, and nothing of the user's."""
  for name in checkpoint_names.leftovers(reading.names_in(root)):
    if of in (None, name.partition(".")[0]) and foreign.is_leftover(root / name):
      shutil.rmtree(root / name)


def is_own(directory: pathlib.Path) -> bool:
  """Returns whether a directory that is named by a step is one that a run made here."""
  return not directory.is_symlink() and (directory / manifest.NAME).is_file()


def tell_skipped(step: int, problem: str) -> None:
  """Says on stderr that a checkpoint is not used."""
  print(f"warning: checkpoint {step} is skipped: {problem}", file=sys.stderr, flush=True)


def knn(directory: pathlib.Path) -> float | None:
  """Returns the accuracy that was saved with a checkpoint, None if there is none."""
  try:
    return reading.patiently(str(directory), lambda: manifest.read(directory)["knn"])
  except manifest.Damaged:
    return None


def scored(root: pathlib.Path) -> list[int]:
  """Returns the steps of the checkpoints that were scored by kNN, the best last."""
  scores = {step: knn(root / str(step)) for step in steps_in(root)}
  return [step for score, step in sorted((k, s) for s, k in scores.items() if k is not None)]


def move(path: pathlib.Path, to: pathlib.Path) -> pathlib.Path:
  """Renames a directory, in the place of whatever was there; returns `to`."""
  shutil.rmtree(to, ignore_errors=True)
  os.rename(path, to)
  return to


def sync(directory: pathlib.Path) -> None:
  """Waits until a renaming in `directory` is on the disk."""
  descriptor = os.open(directory, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)
