"""Arrays that took long to find in files, kept in a file until those change."""

import hashlib
import io
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from contrastive_jax import paths, places


def folder(given: str, key: str, name: str) -> pathlib.Path:
  """Returns where they are kept: the folder given by a key of the config, or the user's cache."""
  return pathlib.Path(paths.local(given, key)) if given else paths.cache() / name


def name_of(facts: dict[str, Any]) -> str:
  """Returns a name of a file for what follows from some facts."""
  return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def facts_of(path: str | os.PathLike) -> dict[str, Any]:
  """Returns what a file is: its place, size and time of change."""
  known = os.stat(path)
  return {"path": os.path.realpath(path), "bytes": known.st_size, "time": known.st_mtime_ns}


def save(path: pathlib.Path, head: dict[str, Any], arrays: Sequence[np.ndarray]) -> None:
  """Writes arrays, and a `head` of what else is known. Raises SaveFailed."""
  content = io.BytesIO()
  for array in arrays:
    np.save(content, array, allow_pickle=False)
  told = hashlib.sha256(content.getvalue()).hexdigest()
  places.write(path, json.dumps(head | {"sha256": told}).encode() + b"\n" + content.getvalue())


def load(path: pathlib.Path, count: int) -> tuple[dict[str, Any], list[np.ndarray]] | None:
  """Returns what `save` wrote; None: there is nothing, or it is damaged."""
  try:
    line, _, content = path.read_bytes().partition(b"\n")
    head = json.loads(line)
    if head["sha256"] != hashlib.sha256(content).hexdigest():
      return None
    file = io.BytesIO(content)
    return head, [np.load(file, allow_pickle=False) for _ in range(count)]
  except (OSError, ValueError, KeyError, TypeError):
    return None
