"""The directories of checkpoints: listed, written, read and compared with their manifests.

What each means, and when it counts, is told in checkpoint.py.
"""

import os
import pathlib
import shutil
import sys
from collections.abc import Callable, Iterable
from typing import Any

import jax
from jaxtyping import PyTree

from contrastive_jax import checkpoint_names, errors, reading
from contrastive_jax.processes import agree
from contrastive_jax.step.state import TrainState
from contrastive_jax.workdir import foreign, manifest, tree_files

_ITEMS = {"model": ("params", "stats"), "training": ("step", "opt_state", "memory", "probe")}


def root(workdir: str) -> pathlib.Path:
  """Returns where the checkpoints of a run lie."""
  return pathlib.Path(workdir).absolute() / "checkpoints"


def steps_in(root: pathlib.Path) -> list[int]:
  """Returns the steps of the committed checkpoints, oldest first."""
  return checkpoint_names.steps(reading.names_in(root))


def any_in(root: pathlib.Path) -> bool:
  """Returns whether a save was ever committed there, be it damaged by now."""
  return checkpoint_names.any_saved(reading.names_in(root))


def write_state(directory: pathlib.Path, step: int, host: TrainState, knn: float | None) -> None:
  """Writes a state that is on the host, and its manifest; then reads it back and compares.

  Raises:
    Damaged: what came back is not what was written.
  """
  tree_files.write(directory, _items(host))
  described = manifest.describe(directory, _leaves(host), step=step, knn=knn)
  manifest.write(directory, described)
  reading.patiently("what was written", lambda: read_state(directory, step, host))


def read_state(directory: pathlib.Path, step: int, like: TrainState) -> dict[str, PyTree]:
  """Reads and verifies all items as numpy.

  Raises:
    Damaged: it is not what was saved.
    UserError: it is, but `like` is another tree.
  """
  listed = _manifest(directory, step, _ITEMS)
  saved = {
    name: {k: leaf[k] for k in ("shape", "dtype")} for name, leaf in listed["leaves"].items()
  }
  asked = {name: manifest.form(leaf) for name, leaf in _leaves(like).items()}
  for name in [*asked, *saved]:
    if saved.get(name) != asked.get(name):
      raise errors.UserError(
        f"checkpoint {step} has {name} {_words(saved.get(name))}, this config makes it "
        f"{_words(asked.get(name))}; use the run's own config or a new --workdir"
      )
  read = {item: tree_files.read(directory / item, tree) for item, tree in _items(like).items()}
  manifest.verify_leaves(listed, {k: v for tree in read.values() for k, v in _leaves(tree).items()})
  return read


def read_model(directory: pathlib.Path, step: int) -> PyTree:
  """Reads and verifies weights and statistics as numpy, of whatever network."""
  listed = _manifest(directory, step, ("model",))
  tree = tree_files.read(directory / "model")
  manifest.verify_leaves(listed, _leaves(tree))
  names = {name for name in listed["leaves"] if name.split(".")[0] in _ITEMS["model"]}
  missing = names - _leaves(tree).keys()
  if missing:
    raise manifest.Damaged(f"leaf {min(missing)} is missing")
  return tree


def _manifest(directory: pathlib.Path, step: int, items: Iterable[str]) -> manifest.Manifest:
  """Reads the manifest and checks the files of `items` against it. Raises `Damaged`."""
  listed = manifest.read(directory)
  if listed["step"] != step:
    raise manifest.Damaged(f"{manifest.NAME} is of step {listed['step']}")
  manifest.verify_files(listed, directory, items)
  return listed


def attempt(step: int, read: Callable[[], PyTree]) -> tuple[PyTree | None, str | None]:
  """Returns (what `read` returns, None), or (None, how the checkpoint is damaged).

  Orbax and TensorStore read files whose digests are right: whatever they raise is no damage, be it
  an error of the disk in a ValueError.

  Raises:
    ReadFailed: the checkpoint may be good and cannot be read, by this process or another.
    UserError: it is of another network, or this user may not read it.
  """
  value = damage = failure = None
  try:
    value = reading.patiently(f"checkpoint {step}", read, may_pass=_is_no_damage)
  except manifest.Damaged as error:
    damage = str(error)
  except (errors.ReadFailed, errors.UserError) as error:
    failure = error
  if agree.any_process(failure is not None):
    raise failure or errors.ReadFailed(
      f"checkpoint {step} cannot be read by another process; see what it says"
    )
  if agree.any_process(damage is not None) and agree.any_process(damage is None):
    raise errors.ReadFailed(
      f"checkpoint {step} is damaged for one process and whole for another "
      f"(this one: {damage or 'whole'}); see that all hosts read the same disk"
    )
  return value, damage


def remove_leftovers(root: pathlib.Path, of: str | None = None) -> None:
  """Removes what was never committed, of one save or of all, and nothing of the user's."""
  for name in checkpoint_names.leftovers(reading.names_in(root)):
    if of in (None, name.partition(".")[0]) and foreign.is_leftover(root / name):
      shutil.rmtree(root / name)


def is_own(directory: pathlib.Path) -> bool:
  """Returns whether a directory that is named by a step is one that a run made here."""
  return not directory.is_symlink() and (directory / manifest.NAME).is_file()


def _is_no_damage(error: BaseException) -> bool:
  return not isinstance(error, errors.UserError | errors.ReadFailed | manifest.Damaged)


def tell_skipped(step: int, problem: str) -> None:
  """Says on stderr that a checkpoint is not used."""
  print(f"warning: checkpoint {step} is skipped: {problem}", file=sys.stderr, flush=True)


def knn(directory: pathlib.Path) -> float | None:
  """Returns the accuracy that was saved with a checkpoint, None if there is none."""
  try:
    return reading.patiently(str(directory), lambda: manifest.read(directory)["knn"])
  except manifest.Damaged:
    return None


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


def _items(state: TrainState) -> dict[str, PyTree]:
  return {item: {k: getattr(state, k) for k in names} for item, names in _ITEMS.items()}


def _leaves(tree: PyTree) -> dict[str, Any]:
  """Returns {dotted name: leaf}; of a state and of its items alike."""
  flat, _ = jax.tree_util.tree_flatten_with_path(tree)

  def name(path):
    parts = (getattr(k, "key", getattr(k, "name", getattr(k, "idx", None))) for k in path)
    return ".".join(str(part) for part in parts)

  return {name(path): leaf for path, leaf in flat}


def _words(form: dict[str, Any] | None) -> str:
  return f"{form['dtype']}{form['shape']}" if form else "nowhere"
