"""What a checkpoint holds: the file that is written last, and without which nothing counts.

`manifest.json` names every leaf with its shape and type, and every file with its length and the
boxes of leaves that lie in it, each block of them with a digest (`packed`); it ends with a digest
of itself. Checkpoints of the form before parts have another content there (`earlier`).
"""

import hashlib
import json
import os
import pathlib
from typing import Any

import numpy as np

from contrastive_jax import errors, reading, slow
from contrastive_jax.workdir import digests, packed

NAME = "manifest.json"
_FORM = 3  # of this file; 1, which named none, is that of whole trees; 2 had tables as written
_KEYS = {
  1: ("step", "knn", "leaves", "files"),
  2: ("form", "digest", "step", "knn", "model", "leaves", "files"),
}
_KEYS[_FORM] = _KEYS[2]
Manifest = dict[str, Any]


class Damaged(Exception):
  """A checkpoint is not what was saved.

  Args:
    what: is wrong where, in a few words.
    file: of the checkpoint in which it is; "": not in one alone.
  """

  def __init__(self, what: str, file: str = ""):
    super().__init__(what)
    self.file = file


def compose(
  step: int,
  knn: float | None,
  model: dict[str, Any],
  leaves: dict[str, dict[str, Any]],
  files: dict[str, dict[str, Any]],
) -> Manifest:
  """Returns the manifest of a checkpoint.

  Args:
    step: of the run.
    knn: accuracy that was measured there, if it was.
    model: weights and statistics as nested dicts, the names of leaves in the place of arrays.
    leaves: {name: {"shape", "dtype"}}.
    files: {path within the checkpoint: table of `part_files`}.

  Raises:
    ValueError: the files do not hold every number of every leaf.
  """
  held = dict.fromkeys(leaves, 0)
  for table in files.values():
    for piece in table["pieces"]:
      held[piece.leaf] += piece.box.size
  for name, form in leaves.items():
    if held[name] != (size := int(np.prod(form["shape"], dtype=np.int64))):
      raise ValueError(f"{held[name]:,} of {size:,} numbers of leaf {name} were written")
  body = {
    "form": _FORM,
    "digest": digests.NAME,
    "step": step,
    "knn": knn,
    "model": model,
    "leaves": leaves,
    "files": {name: packed.pack(table, sorted(leaves), leaves) for name, table in files.items()},
  }
  return body | {"sha256": _digest_of_text(body)}


def form(leaf: Any) -> dict[str, Any]:
  """Returns shape and type of an array, as a manifest has them."""
  return {"shape": list(leaf.shape), "dtype": np.dtype(leaf.dtype).name}


def write(directory: pathlib.Path, manifest: Manifest) -> None:
  """Writes it and waits until it is on the disk."""
  with (directory / NAME).open("w") as file:
    json.dump(manifest, file, separators=(",", ":"))
    file.flush()
    os.fsync(file.fileno())


def read(directory: pathlib.Path) -> Manifest:
  """Reads it back.

  Raises:
    Damaged: it is missing, or not what was written.
    UserError: a later version of this package wrote it.
    OSError: the system could not read it, which says nothing of the checkpoint.
  """
  try:
    with slow.named(str(directory / NAME)):
      manifest = json.loads((directory / NAME).read_bytes())
    body = {key: value for key, value in manifest.items() if key != "sha256"}
    intact = manifest["sha256"] == _digest_of_text(body)
    written = manifest.get("form", 1)
    complete = written not in _KEYS or all(key in body for key in _KEYS[written])
  except OSError as error:
    if reading.is_missing(error, directory / NAME, within=directory.parent):
      raise Damaged(f"{NAME} is missing") from error
    raise
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise Damaged(f"{NAME} cannot be read ({type(error).__name__})") from error
  if not intact or not complete:
    raise Damaged(f"{NAME} does not match its own digest")
  if written not in _KEYS or manifest.get("digest", digests.NAME) != digests.NAME:
    raise errors.UserError(
      f"{directory / NAME} has form {written}, digests {manifest.get('digest')}; this version "
      f"knows forms up to {_FORM} with {digests.NAME}: use the one that wrote it, or a later one"
    )
  return manifest


def of_step(directory: pathlib.Path, step: int) -> Manifest:
  """Returns the manifest of the checkpoint of `step`. Raises `Damaged` if it is of another."""
  listed = read(directory)
  if listed["step"] != step:
    raise Damaged(f"{NAME} is of step {listed['step']}")
  return listed


def is_in_parts(manifest: Manifest) -> bool:
  """Returns whether it describes parts; else a checkpoint of `earlier`."""
  return "form" in manifest


def _digest_of_text(body: Manifest) -> str:
  return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
