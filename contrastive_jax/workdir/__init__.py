"""The directory of a run: made, checked, and stamped with what will run in it.

Imports: config, data, errors, locking, processes, reading, step.
"""

import contextlib
import errno
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import tempfile
from collections.abc import Callable
from typing import TypeVar

import jax
from ml_collections import ConfigDict

from contrastive_jax import config as config_lib
from contrastive_jax import errors, reading
from contrastive_jax.data import identity
from contrastive_jax.workdir import checkpoint_files

T = TypeVar("T")
_NO_PLACE = (
  *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.ENOENT),
  *(errno.EINVAL, errno.ENAMETOOLONG, errno.ELOOP),
)
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


def check(workdir: str, config: ConfigDict, images: identity.Identity | None = None) -> list[str]:
  """Refuses to mix two runs in one directory; writes nothing.

  The config of a run that never came to a checkpoint binds nobody: there is nothing to mix with.

  Args:
    workdir: of the run.
    config: that it is to go on with.
    images: that it is to go on with; None: not looked at.

  Returns:
    What is other than before and was allowed, to be told.

  Raises:
    UserError: `workdir` holds a run whose config differs in a key of its identity and
      `allow_config_change` is not set or the key is one of `config.FIXED`, or whose images were
      others and `allow_data_change` is not.
  """
  _check_place(workdir)
  if not checkpoint_files.any_in(checkpoint_files.root(workdir)):
    return []
  stored = _unless_damaged(stored_config, workdir, config.allow_config_change)
  changes = config_lib.differences(stored, config) if stored else []
  for change in changes:
    key, before, *_ = change.split()
    if key in config_lib.FIXED:
      raise errors.UserError(
        f"workdir {workdir} holds a run with {change}, and a run cannot change it: "
        f"{config_lib.FIXED[key]}; set --config.{key}={before}, or give a new --workdir"
      )
  if changes and not config.allow_config_change:
    raise errors.UserError(
      f"workdir {workdir} holds a run with another config: {'; '.join(changes)}; give a new "
      "--workdir, or --config.allow_config_change=True to go on with the new one"
    )
  before = images and _unless_damaged(_stored_images, workdir, config.allow_data_change)
  others = identity.differences(before, images) if before else []
  if others and not config.allow_data_change:
    raise errors.UserError(
      f"workdir {workdir} holds a run on other images: {'; '.join(others)}; give back those that "
      "it began with, or a new --workdir, or --config.allow_data_change=True to go on with these "
      "(in another order, an epoch of another length)"
    )
  return changes + others


def _check_place(workdir: str) -> None:
  """Raises `UserError` where a file stands in the way of the directory."""
  path = pathlib.Path(workdir).absolute()
  with contextlib.suppress(OSError):  # which `make` tells of
    found = next(place for place in (path, *path.parents) if os.path.lexists(place))
    if not found.is_dir():
      raise errors.UserError(
        f"workdir {workdir} cannot be written ({found} is no directory); give another --workdir"
      )


def _unless_damaged(stored: Callable[[str], T], workdir: str, may_be: bool) -> T | None:
  """Returns what was stored; None where it is damaged and that is allowed."""
  try:
    return stored(workdir)
  except errors.UserError:
    if may_be:
      return None
    raise


def _stored_images(workdir: str) -> identity.Identity | None:
  """Returns what the images of a run were; None: it began before that was written down."""
  path = pathlib.Path(workdir) / "data.json"
  content = reading.content(path)
  try:
    return None if content is None else identity.checked(json.loads(content))
  except (ValueError, KeyError, TypeError) as error:
    raise errors.UserError(
      f"{path} cannot be read ({type(error).__name__}); put a good copy there, or see that the "
      "images are those of the run and set --config.allow_data_change=True, which writes it anew"
    ) from error


def stored_config(workdir: str) -> ConfigDict | None:
  """Returns the config of the run in `workdir`, None if there is none.

  Raises:
    UserError: config.json is damaged, or was changed by another hand.
    ReadFailed: it cannot be read, which says nothing of it.
  """
  path = pathlib.Path(workdir) / "config.json"
  try:
    content = reading.content(path)
    if content is None:
      return None
    text = content.decode()
    found, problem = config_lib.from_json(text), None
  except (ValueError, TypeError, AttributeError) as error:
    found, problem = None, f"cannot be read ({type(error).__name__})"
  else:
    stamp = path.with_name("versions.json")
    if _digest(text).encode() not in (reading.content(stamp) or _digest(text).encode()):
      problem = f"is not what was written there (its SHA-256 is not that in {stamp.name})"
  if problem:
    raise errors.UserError(
      f"{path} {problem}; put a good copy there, or start train.py with the run's own config and "
      "--config.allow_config_change=True, which writes it anew"
    )
  return found


def make(workdir: str) -> None:
  """Makes the directory if need be.

  Raises:
    UserError: it is no place that can be written.
    SaveFailed: it cannot be written now, which may pass: a full disk, a server that is away.
  """
  try:
    pathlib.Path(workdir).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=workdir):
      pass
  except OSError as error:
    if error.errno not in _NO_PLACE:
      with errors.saving(f"workdir {workdir}"):
        raise
    raise errors.UserError(
      f"workdir {workdir} cannot be written ({error.strerror}); give another --workdir"
    ) from error


def stamp(workdir: str, config: ConfigDict, images: identity.Identity | None = None) -> None:
  """Writes config.json, versions.json and, of the images, data.json; from process 0 alone.

  versions.json names the digest of config.json. One that is about to change has both digests there
  while it does, so that a run killed between two writes leaves a config that is known.
  """
  if jax.process_index() == 0:
    root = pathlib.Path(workdir)
    with errors.saving(str(root / "config.json")):
      for leftover in root.glob("*.tmp"):  # of a killed run
        leftover.unlink()
      path, text = root / "config.json", config_lib.to_json(config)
      stamp = versions() | {"config_sha256": _digest(text)}
      before = path.read_bytes().decode(errors="replace") if path.exists() else text
      if before != text:
        both = stamp | {"config_sha256_before": _digest(before)}
        write(root / "versions.json", json.dumps(both, indent=2) + "\n")
        write(path, text)
      write(root / "versions.json", json.dumps(stamp, indent=2) + "\n")
      if not path.exists():
        write(path, text)
      if images is not None:
        write(root / "data.json", json.dumps(images, indent=2) + "\n")


def _digest(text: str) -> str:
  return hashlib.sha256(text.encode()).hexdigest()


def write(path: pathlib.Path, text: str) -> None:
  """Writes a whole file or nothing."""
  temporary = path.with_name(path.name + ".tmp")
  with temporary.open("w") as file:
    file.write(text)
    file.flush()
    os.fsync(file.fileno())
  os.replace(temporary, path)


def versions() -> dict[str, str | int | None]:
  """Returns the versions, the commit and the devices that a result depends on."""
  found = {name: importlib.metadata.version(name) for name in _PACKAGES}
  return found | {
    "contrastive_jax": importlib.import_module("contrastive_jax").__version__,
    "python": platform.python_version(),
    "git_commit": _commit(),
    "device_kind": jax.devices()[0].device_kind,
    "device_count": jax.device_count(),
    "process_count": jax.process_count(),
  }


def _commit() -> str | None:
  """The commit of a source checkout, with "+changes" if it differs; None outside one.

  An environment with the package may lie in another project's repository, which has no part in it.
  """
  here = pathlib.Path(__file__)

  def git(*command):
    # No refreshed index is written: on a full disk its lock would stay behind and bar commits.
    command = "git", "--no-optional-locks", *command
    done = subprocess.run(command, cwd=here.parent, capture_output=True, text=True, check=True)
    return done.stdout.strip()

  try:
    git("ls-files", "--error-unmatch", here.name)
    changed = git("status", "--porcelain", "--untracked-files=no", ":/")
    return git("rev-parse", "HEAD") + ("+changes" if changed else "")
  except (OSError, subprocess.CalledProcessError):
    return None
