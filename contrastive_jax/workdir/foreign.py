"""What is not a run's own in its workdir: left alone, or named where a run would stumble over it.

A user may keep notes beside a run. What has a name that the run needs and is of another kind (a
folder where a file is written, a file in the place of a checkpoint) is a mistake, told before
anything is read or written: later it would look like a disk that fails.
"""

import errno
import os
import pathlib
import re
import stat
from collections.abc import Callable

from contrastive_jax import checkpoint_names, errors, reading
from contrastive_jax.workdir import files, manifest

_STAMPS = ("config.json", "data.json", files.NAME, "versions.json")
TEMPORARY = tuple(f"{name}.tmp" for name in _STAMPS)
_FILES = (*_STAMPS, "metrics.jsonl", "lock", *TEMPORARY)
_IN_A_SAVE = re.compile(
  rf"(?:model|training)(?:\.orbax-checkpoint-tmp.*)?|{re.escape(manifest.NAME)}", re.DOTALL
)


def check(workdir: str) -> None:
  """Raises `UserError` for the first thing that a run would stumble over; writes nothing."""
  root = pathlib.Path(workdir)
  for name in _FILES:
    _must_be(root / name, stat.S_ISREG, "a file")
  checkpoints = root / "checkpoints"
  _must_be(checkpoints, stat.S_ISDIR, "a folder")
  names = reading.names_in(checkpoints)
  steps = map(str, checkpoint_names.steps(names))
  for name in (*steps, *checkpoint_names.damaged(names)):
    _must_be(checkpoints / name, stat.S_ISDIR, "the folder of a checkpoint")
  for name in checkpoint_names.leftovers(names):
    if not is_leftover(checkpoints / name):
      raise errors.UserError(
        f"{checkpoints / name} is in the way: a run writes a checkpoint there, and this is none; "
        "move it, or give another --workdir"
      )


def is_leftover(path: pathlib.Path) -> bool:
  """Returns whether this is what a killed save leaves: a folder with nothing else in it."""
  return (
    path.is_dir()
    and not path.is_symlink()
    and all(_IN_A_SAVE.fullmatch(name) for name in os.listdir(path))
  )


def _must_be(path: pathlib.Path, kind: Callable[[int], bool], word: str) -> None:
  """Links count as what they lead to; what cannot be looked at for now is told by who reads it."""
  if not os.path.lexists(path):
    return
  try:
    right, what = kind(path.stat().st_mode), f"no {word.partition(' ')[2]}"
  except OSError as error:
    if error.errno not in (errno.ENOENT, errno.ELOOP):
      return
    right, what = False, "a link to nothing"
  if not right:
    raise errors.UserError(
      f"{path} is in the way: a run has {word} there, and this is {what}; move it, or give another "
      "--workdir"
    )
