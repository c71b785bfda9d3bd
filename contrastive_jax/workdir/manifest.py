"""What a checkpoint holds, leaf by leaf, with digests: how a flipped bit is told from a weight.

Orbax returns damaged arrays without an error. `manifest.json` in a checkpoint names every leaf with
its shape, its type and the SHA-256 of its bytes in memory, every file with the SHA-256 of its
content, and ends with a digest of itself. The files are checked before anything parses them; the
leaves tell whether what was parsed is what was saved.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from contrastive_jax import reading, slow

NAME = "manifest.json"
_KEYS = ("step", "knn", "leaves", "files")
Manifest = dict[str, Any]  # "step", "knn", "leaves": {name: {"shape", "dtype", "sha256"}}, "files"


class Damaged(Exception):
  """A checkpoint is not what was saved. The message is a few words: what is wrong where."""


def describe(
  directory: pathlib.Path,
  leaves: Mapping[str, np.ndarray],
  *,
  step: int,
  knn: float | None = None,
) -> Manifest:
  """Returns the manifest of arrays on the host that were written to `directory`."""
  files = sorted(path for path in directory.rglob("*") if path.is_file())
  body = {
    "step": step,
    "knn": knn,
    "leaves": {name: form(leaf) | {"sha256": _digest(leaf)} for name, leaf in leaves.items()},
    "files": {path.relative_to(directory).as_posix(): _digest_of_file(path) for path in files},
  }
  return body | {"sha256": _digest_of_text(body)}


def form(leaf: Any) -> dict[str, Any]:
  """Returns shape and type of an array, as a manifest has them."""
  return {"shape": list(leaf.shape), "dtype": np.dtype(leaf.dtype).name}


def write(directory: pathlib.Path, manifest: Manifest) -> None:
  """Writes it and waits until it is on the disk."""
  with (directory / NAME).open("w") as file:
    json.dump(manifest, file, indent=1)
    file.flush()
    os.fsync(file.fileno())


def read(directory: pathlib.Path) -> Manifest:
  """Reads it back.

  Raises:
    Damaged: it is missing, or not what was written.
    OSError: the system could not read it, which says nothing of the checkpoint.
  """
  try:
    with slow.named(str(directory / NAME)):
      manifest = json.loads((directory / NAME).read_bytes())
    body = {key: manifest[key] for key in _KEYS}
    intact = manifest["sha256"] == _digest_of_text(body)
  except OSError as error:
    if reading.is_missing(error, directory / NAME, within=directory.parent):
      raise Damaged(f"{NAME} is missing") from error
    raise
  except (ValueError, KeyError, TypeError) as error:
    raise Damaged(f"{NAME} cannot be read ({type(error).__name__})") from error
  if not intact:
    raise Damaged(f"{NAME} does not match its own digest")
  return manifest


def verify_files(manifest: Manifest, directory: pathlib.Path, items: Iterable[str]) -> None:
  """Raises `Damaged`, with the first file that differs, unless the folders `items` are intact.

  A file is missing if its folder, which can be read, does not have it; what else the system says
  is raised as it is.
  """
  for name, digest in manifest["files"].items():
    if name.split("/")[0] in items:
      try:
        found = _digest_of_file(directory / name)
      except OSError as error:
        if reading.is_missing(error, directory / name, within=directory.parent):
          raise Damaged(f"file {name} is missing") from error
        raise
      if found != digest:
        raise Damaged(f"file {name} does not match its digest")


def verify_leaves(manifest: Manifest, leaves: Mapping[str, np.ndarray]) -> None:
  """Raises `Damaged`, with the first leaf that differs, unless `leaves` are what was described.

  They may be a part of the checkpoint: leaves that were not read are not missed.
  """
  for name, leaf in leaves.items():
    if name not in manifest["leaves"]:
      raise Damaged(f"leaf {name} is not in {NAME}")
    if form(leaf) | {"sha256": _digest(leaf)} != manifest["leaves"][name]:
      raise Damaged(f"leaf {name} does not match its digest")


def _digest(leaf: np.ndarray) -> str:
  return hashlib.sha256(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8)).hexdigest()


def _digest_of_file(path: pathlib.Path) -> str:
  with slow.named(str(path)), path.open("rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of_text(body: Manifest) -> str:
  return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
