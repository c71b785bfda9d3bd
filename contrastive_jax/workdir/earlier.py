"""Checkpoints as they were before parts: whole trees of Orbax. They are read, never written.

`STEP/{model,training}` are trees of Orbax; the manifest has the SHA-256 of every file's content
and of every leaf's bytes in memory. The files are checked before anything parses them, for Orbax
returns damaged arrays without an error; the leaves tell whether what was parsed is what was saved.
This file alone knows Orbax, and is imported only where there is such a checkpoint.
"""

import contextlib
import hashlib
import os
import pathlib
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from jaxtyping import PyTree

from contrastive_jax import errors, reading, slow
from contrastive_jax.workdir import manifest
from contrastive_jax.workdir.manifest import Damaged, Manifest

_PLAIN = re.compile(r"[A-Za-z0-9_./ =,+@:~-]{1,1000}")  # of a path: what no library reads as more


def read(directory: pathlib.Path, like: PyTree | None = None) -> PyTree[np.ndarray]:
  """Reads the tree of a folder, with the shapes and types of `like` or else those of the files."""
  handler = ocp.StandardCheckpointHandler()
  with _plainly_named(directory) as path:
    like = handler.metadata(path).tree if like is None else like
    # Only shape and type of what is asked for count: no memory.
    asked = jax.tree.map(lambda x: np.broadcast_to(np.zeros((), x.dtype), x.shape), like)
    return handler.restore(path, args=ocp.args.StandardRestore(asked))


@contextlib.contextmanager
def _plainly_named(directory: pathlib.Path) -> Iterator[epath.Path]:
  """Yields a path of a folder that Orbax and TensorStore take letter by letter.

  Of the whole path they read `[`, `?` and `**` as patterns and write a backslash's part elsewhere
  (Orbax 0.12.8, `lr[0.1]`; findings/orbax_path_patterns.sh): where a letter may mean more they get
  a link from the temporary folder.

  Raises:
    UserError: that has such a path too.
  """
  given = os.path.abspath(directory)
  if _PLAIN.fullmatch(given):
    yield epath.Path(given)
    return
  with tempfile.TemporaryDirectory(prefix="contrastive_jax_") as folder:
    if not _PLAIN.fullmatch(folder):
      raise errors.UserError(
        f"{given} has letters that Orbax takes for patterns, and so has the temporary folder "
        f"{folder}; set TMPDIR to a plain path, or give another --workdir"
      )
    link = os.path.join(folder, "checkpoint")
    os.symlink(given, link)
    yield epath.Path(link)


def verify_files(listed: Manifest, directory: pathlib.Path, items: Iterable[str]) -> None:
  """Raises `Damaged`, with the first file that differs, unless the folders `items` are intact.

  A file is missing if its folder, which can be read, does not have it; what else the system says
  is raised as it is.
  """
  for name, digest in listed["files"].items():
    if name.split("/")[0] in items:
      try:
        found = _digest_of_file(directory / name)
      except OSError as error:
        if reading.is_missing(error, directory / name, within=directory.parent):
          raise Damaged(f"file {name} is missing") from error
        raise
      if found != digest:
        raise Damaged(f"file {name} does not match its digest")


def verify_leaves(listed: Manifest, leaves: Mapping[str, np.ndarray]) -> None:
  """Raises `Damaged`, with the first leaf that differs, unless `leaves` are what was described.

  They may be a part of the checkpoint: leaves that were not read are not missed.
  """
  for name, leaf in leaves.items():
    if name not in listed["leaves"]:
      raise Damaged(f"leaf {name} is not in {manifest.NAME}")
    if manifest.form(leaf) | {"sha256": _digest(leaf)} != listed["leaves"][name]:
      raise Damaged(f"leaf {name} does not match its digest")


def _digest(leaf: np.ndarray) -> str:
  return hashlib.sha256(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8)).hexdigest()


def _digest_of_file(path: pathlib.Path) -> str:
  with slow.named(str(path)), path.open("rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()
