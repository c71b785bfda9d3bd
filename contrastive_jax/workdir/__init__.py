"""The directory of a run: made, checked, and stamped with what will run in it.

Imports: buckets, checkpoint_names, config, data, errors, export_names, hiding, locking,
metric_lines, parallel, paths, places, plural, processes, reading, slow, step, stored.
"""

import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import tempfile
from collections.abc import Callable
from typing import Any, TypeVar

import jax
from ml_collections import ConfigDict

from contrastive_jax import config as config_lib
from contrastive_jax import errors, export_names, places, reading, stored
from contrastive_jax.data import folder, identity, jpeg, order
from contrastive_jax.data.listing import Listing
from contrastive_jax.workdir import checkpoint_files, files, foreign, version_history

_SAID = 500  # letters of what is wrong with a file: it may hold a value of any length
T = TypeVar("T")
_DEEPEST = 200  # letters that a run adds to the path of its workdir
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


def check(
  workdir: str,
  config: ConfigDict,
  images: identity.Identity | None = None,
  listed: Listing | None = None,
) -> list[str]:
  """Refuses to mix two runs in one directory; writes nothing.

  The config of a run that never came to a checkpoint binds nobody: there is nothing to mix with.

  Args:
    workdir: of the run.
    config: that it is to go on with.
    images: that it is to go on with; None: not looked at.
    listed: the files of these, if they are files.

  Returns:
    What is other than before and was allowed, to be told.

  Raises:
    UserError: `workdir` holds a run whose config differs in a key of its identity and
      `allow_config_change` is not set or the key is one of `config.FIXED`, or whose images were
      others and `allow_data_change` is not; or it is an export, or the folder of a study.
  """
  places.check_folder(workdir, "workdir", "give another --workdir")
  foreign.check(workdir, config.log.views, config.log.tensorboard)
  if not checkpoint_files.any_in(checkpoint_files.root(workdir)):
    names = reading.names_in(workdir)
    export_names.refuse(workdir, names)  # its config.json would be lost
    if {"study.json", "cells"} <= set(names):
      raise errors.UserError(  # its report would be lost
        f"workdir {workdir} is the folder of a study (study.json), whose runs lie in cells/; "
        "give another --workdir"
      )
    return []
  stored = _unless_damaged(stored_config, workdir, config.allow_config_change)
  changes = config_lib.differences(stored, config) if stored else []
  for change in changes:
    key, before, *_ = change.split()
    if key in config_lib.FIXED:
      raise errors.UserError(
        f"workdir {workdir} holds a run (config.json) with {change}, and a run cannot change it: "
        f"{config_lib.FIXED[key]}; set --config.{key}={before}, or give a new --workdir"
      )
  if changes and not config.allow_config_change:
    raise errors.UserError(
      f"workdir {workdir} holds a run with another config (config.json): {'; '.join(changes)}; "
      "give a new "
      "--workdir, or --config.allow_config_change=True to go on with the new one"
    )
  before = images and _unless_damaged(_stored_images, workdir, config.allow_data_change)
  others = identity.differences(before, images) if before else []
  others += files.differences(workdir, listed)
  if others and not config.allow_data_change:
    raise errors.UserError(
      f"workdir {workdir} holds a run on other images: {'; '.join(others)}; give back those that "
      "it began with, or a new --workdir, or --config.allow_data_change=True to go on with these "
      "(in another order, an epoch of another length)"
    )
  return changes + others


def ordered(workdir: str, config: ConfigDict) -> ConfigDict:
  """Returns the config with what a run in `workdir` has settled: order, layout, range of values.

  A new run takes the newest order of images and reading of a folder. What `config` names is left
  as it is.

  Raises:
    UserError: the run's own config is damaged, and `allow_config_change` is not set.
  """
  newest: dict[str, Any] = {"data.order": order.NEWEST}
  if config.data.source == "folder":
    newest["data.folder.layout"] = folder.LAYOUTS[0]
  flat = config_lib.flatten(config)
  if all(flat[key] is not None for key in newest) and config.data.value_range:
    return config
  stored = None
  if checkpoint_files.any_in(checkpoint_files.root(workdir)):
    stored = _unless_damaged(stored_config, workdir, config.allow_config_change)
  own = config_lib.flatten(stored) if stored else {}
  left = {key: own.get(key, value) for key, value in newest.items() if flat[key] is None}
  if not config.data.value_range:
    left["data.value_range"] = own.get("data.value_range", ())
  return config_lib.changed(config.copy_and_resolve_references(), left)


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
    if content is None:
      return None
    found = identity.checked(stored.parsed(content))
    if not isinstance(found["class names"], list):
      raise TypeError("class names are no list")
    return found
  except (ValueError, KeyError, TypeError) as error:
    what = str(error) if isinstance(error, ValueError) else "has not what a run writes there"
    raise errors.UserError(
      f"{path} {what}; put a good copy there, or see that the "
      "images are those of the run and set --config.allow_data_change=True, which writes it anew"
    ) from error


def stored_config(workdir: str) -> ConfigDict | None:
  """Returns the config of the run in `workdir`, None if there is none.

  Raises:
    UserError: config.json is damaged, was changed by another hand, or no run could have had it.
    ReadFailed: it cannot be read, which says nothing of it.
  """
  path = pathlib.Path(workdir) / "config.json"
  content, stamp = reading.content(path), path.with_name("versions.json")
  if content is None:
    export_names.refuse(workdir, reading.names_in(path.parent))
    return None
  digest = hashlib.sha256(content).hexdigest().encode()
  known = reading.content(stamp) or digest
  try:
    stored.parsed(content)  # a damage is told as such
    if digest not in known:
      raise ValueError(f"is not what was written there (its SHA-256 is not that in {stamp.name})")
    return stored.config(content)
  except ValueError as error:
    export_names.refuse(workdir, reading.names_in(path.parent))
    said = str(error)[:_SAID]
    problem = f"is of no run ({said})" if isinstance(error, errors.UserError) else said
    raise errors.UserError(
      f"{path} {problem}; put a good copy there, or give contrastive_jax train the run's own "
      "config and --config.allow_config_change=True, which writes it anew"
    ) from error


def make(workdir: str) -> None:
  """Makes the directory if need be.

  Raises:
    UserError: it is no place that can be written.
    SaveFailed: it cannot be written now, which may pass: a full disk, a server that is away.
  """
  path = pathlib.Path(workdir).absolute()
  limit = os.pathconf("/", "PC_PATH_MAX")
  length = len(os.fsencode(path))
  if length + _DEEPEST > limit:
    raise errors.UserError(
      f"workdir {workdir[:40]}... has a path of {length:,} bytes; this system takes {limit:,}, of "
      f"which a run needs {_DEEPEST}: give a shorter --workdir"
    )
  with errors.placing(f"workdir {workdir}"):
    path.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=workdir):
      pass


def stamp(
  workdir: str,
  config: ConfigDict,
  images: identity.Identity | None = None,
  step: int = 0,
  written: Callable[[pathlib.Path], None] = lambda path: None,
) -> list[str]:
  """Writes config.json, versions.json and, of the images, data.json; from process 0 alone.

  Args:
    workdir: of the run.
    config: that it goes on with.
    images: likewise.
    step: that it goes on from.
    written: called with each file as soon as it is written.

  Returns:
    Which versions are other than those of the steps before.

  versions.json names the digest of config.json. One that is about to change has both digests there
  while it does, so that a run killed between two writes leaves a config that is known.
  """
  if jax.process_index():
    return []
  root, now = pathlib.Path(workdir), versions()

  def put(path, text):
    write(path, text)
    written(path)

  earlier = version_history.read(workdir, step)
  with errors.placing(str(root / "config.json")):
    for leftover in foreign.TEMPORARY:  # of a killed run
      (root / leftover).unlink(missing_ok=True)
    path, text = root / "config.json", config_lib.to_json(config)
    stamp = now | {"config_sha256": _digest(text)}
    stamp[version_history.KEY] = version_history.extended(earlier, step, now)
    before = path.read_bytes().decode(errors="replace") if path.exists() else text
    if before != text:
      both = stamp | {"config_sha256_before": _digest(before)}
      put(root / "versions.json", json.dumps(both, indent=2) + "\n")
      put(path, text)
    put(root / "versions.json", json.dumps(stamp, indent=2) + "\n")
    if not path.exists():
      put(path, text)
    if images is not None:
      put(root / "data.json", json.dumps(images, indent=2) + "\n")
  return version_history.changes(earlier, now)


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
    version_history.DECODER: jpeg.decoder(),
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
