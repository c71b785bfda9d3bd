"""What is not a run's own in its workdir: left alone, or named where a run would stumble over it.

A user may keep notes beside a run. What has a name that the run needs and is of another kind (a
folder where a file is written, a file in the place of a checkpoint) is a mistake, told before
anything is read or written: later it would look like a disk that fails.
"""

import os
import pathlib
import re
import stat

from contrastive_jax import checkpoint_names, errors, places, reading
from contrastive_jax.workdir import files, manifest

_STAMPS = ("config.json", "data.json", files.NAME, "init.json", "versions.json")
TEMPORARY = tuple(f"{name}.tmp" for name in _STAMPS)
_FILES = (
  *(*_STAMPS, *TEMPORARY, "metrics.jsonl", "metrics.jsonl.tmp"),
  *("time.jsonl", "unreadable.txt", "lock"),
)
_REMEDY = "give another --workdir"
_IN_A_SAVE = re.compile(
  rf"parts|(?:model|training)(?:\.orbax-checkpoint-tmp.*)?|{re.escape(manifest.NAME)}", re.DOTALL
)


def check(workdir: str, views: bool = True, tensorboard: bool = True) -> None:
  """Raises `UserError` for the first thing that a run would stumble over; writes nothing.

  Args:
    workdir: of the run.
    views: whether it draws views.png.
    tensorboard: whether it writes events.
  """
  root = pathlib.Path(workdir)
  for name in (*_FILES, *(["views.png"] if views else [])):
    places.check_kind(root / name, stat.S_ISREG, "a file", _REMEDY)
  checkpoints = root / "checkpoints"
  for name in ("checkpoints", *(["tensorboard"] if tensorboard else [])):
    places.check_kind(root / name, stat.S_ISDIR, "a folder", _REMEDY)
  names = reading.names_in(checkpoints)
  steps = map(str, checkpoint_names.steps(names))
  for name in (*steps, *checkpoint_names.damaged(names)):
    places.check_kind(checkpoints / name, stat.S_ISDIR, "the folder of a checkpoint", _REMEDY)
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
