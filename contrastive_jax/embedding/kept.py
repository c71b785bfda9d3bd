"""Rows that are there so far, in files that only grow beside a note of how many of them count.

What a kill leaves behind the last note is cut off by whoever goes on.
"""

import json
import os
import pathlib
import shutil
import textwrap
from typing import Any

import numpy as np

from contrastive_jax import errors, locking, places, plural, reading
from contrastive_jax.workdir import version_history

_NOTE = "progress.json"
_SHOWN = 80  # characters of a value


class Kept:
  """The rows of one question, in a folder; a context manager that holds it alone.

  Attributes:
    images: that have been looked at.
    rows: that are kept: images that could be read.
    replaced: unreadable images, which are not among the rows.
    history: with which versions rows were computed: each entry from its "images" on.
    changes: what is other now than for the rows that are there, as "name old -> new".

  Args:
    folder: of the files, made if missing.
    asked: what the rows answer, by key; rows of another question are refused.
    widths: numbers of a row, by layer.
    num_images: that are to come in all, for which there must be room.
    versions: with which rows are computed now.
  """

  def __init__(
    self,
    folder: pathlib.Path,
    asked: dict[str, Any],
    widths: dict[str, int],
    num_images: int,
    versions: dict[str, Any],
  ):
    self.folder, self.images, self.rows, self.replaced = folder, 0, 0, 0
    self.history: list[dict[str, Any]] = []
    self.changes: list[str] = []
    self._versions = versions
    self._asked = json.loads(json.dumps(asked))
    self._forms = {name: (np.dtype(np.float32), width) for name, width in widths.items()}
    self._forms |= {"label": (np.dtype(np.int32), 1), "index": (np.dtype(np.int64), 1)}
    self._num_images = num_images

  def __enter__(self) -> "Kept":
    remedy = "give another --out"
    places.ready(self.folder, "features", remedy, 10_000)
    self._lock = (self.folder / "lock").open("a+")
    if holder := locking.take(self._lock):
      self._lock.close()
      raise errors.UserError(f"{self.folder} is being written by {holder}; {remedy}")
    try:
      self._go_on()
      self.changes = version_history.changes(self.history, self._versions)
      if (self.changes or not self.history) and self.images < self._num_images:
        self.history.append({"images": self.images, **self._versions})
      self._check_room()
      with errors.saving(str(self.folder)):
        self._files = {name: self._open(name) for name in self._forms}
    except BaseException:
      self._lock.close()
      self._remove_unless_noted()
      raise
    return self

  def __exit__(self, *_) -> None:
    for file in self._files.values():
      file.close()
    self._lock.close()
    self._remove_unless_noted()

  def add(self, rows: dict[str, np.ndarray], images: int, replaced: int) -> None:
    """Appends rows, which count once the note of them is written. Raises `SaveFailed`."""
    count = len(rows["index"])
    with errors.saving(str(self.folder), "give the same command again"):
      for name, file in self._files.items():
        dtype, width = self._forms[name]
        values = np.ascontiguousarray(rows[name], dtype).reshape(count, -1)
        if values.shape[1] != width:
          raise ValueError(f"{name} has {values.shape[1]} numbers a row, not {width}")
        file.write(values.data)
        file.flush()
        os.fsync(file.fileno())
    self.images, self.rows, self.replaced = images, self.rows + count, self.replaced + replaced
    note = {"images": images, "rows": self.rows, "replaced": self.replaced, "asked": self._asked}
    note["history"] = self.history
    places.write(self.folder / _NOTE, json.dumps(note, indent=2) + "\n")

  def read(self, name: str, start: int, stop: int) -> np.ndarray:
    """Returns the rows [start, stop) of a layer, or of "label" or "index"."""
    dtype, width = self._forms[name]
    values = np.fromfile(
      self._path(name),
      dtype,
      count=(stop - start) * width,
      offset=start * width * dtype.itemsize,
    )
    return values if name in ("label", "index") else values.reshape(-1, width)

  def remove(self) -> None:
    """Removes the folder, when its rows are elsewhere."""
    shutil.rmtree(self.folder, ignore_errors=True)

  def _remove_unless_noted(self) -> None:
    """Removes a folder in which no row counts: whoever comes next begins anew with or without."""
    if not self.images and not (self.folder / _NOTE).exists():
      self.remove()

  def _go_on(self) -> None:
    content = reading.content(self.folder / _NOTE)
    if content is None:
      return
    try:
      note = json.loads(content)
      before = note["asked"]
      self.images, self.rows, self.replaced = (note[k] for k in ("images", "rows", "replaced"))
      self.history = [dict(entry) for entry in note.get("history", ())]
    except (ValueError, KeyError, TypeError) as error:
      raise errors.UserError(
        f"{self.folder / _NOTE} is damaged; remove {self.folder}, and all is computed anew"
      ) from error
    if different := _first_difference(before, self._asked):
      key, then, now = different
      raise errors.UserError(
        f"{self.folder} holds features that were begun with {key} {then}, and {now} is asked for; "
        "remove it, or give another --out"
      )

  def _check_room(self) -> None:
    """Raises `SaveFailed` unless the rows to come and the file that is made of all fit."""
    row = sum(width * dtype.itemsize for dtype, width in self._forms.values())
    needed = row * (2 * self._num_images - self.images)
    free = shutil.disk_usage(self.folder).free
    if needed > free:
      raise errors.SaveFailed(
        f"{self.folder} needs {plural.of_bytes(needed)}, rows and the file that is made of them, "
        f"and {plural.of_bytes(free)} are free; make room, or give another --out"
      )

  def _open(self, name: str):
    dtype, width = self._forms[name]
    file = self._path(name).open("ab")
    end = self.rows * width * dtype.itemsize
    if os.path.getsize(file.name) < end:
      file.close()
      raise errors.UserError(
        f"{file.name} is shorter than {_NOTE} says; remove {self.folder}, and the features are "
        "computed anew"
      )
    file.truncate(end)
    return file

  def _path(self, name: str) -> pathlib.Path:
    number = list(self._forms).index(name)  # a layer's name may hold any letters
    return self.folder / f"{number}.rows"


def _first_difference(before: dict, asked: dict, under: str = "") -> tuple[str, str, str] | None:
  """Returns the first key that two notes differ in, and both values, cut short."""
  for key in sorted(before.keys() | asked.keys()):
    then, now = before.get(key), asked.get(key)
    if then == now:
      continue
    if isinstance(then, dict) and isinstance(now, dict):
      return _first_difference(then, now, f"{under}{key}: ")
    shown = tuple(textwrap.shorten(str(value), _SHOWN) for value in (then, now))
    if shown[0] == shown[1] and isinstance(then, list) and isinstance(now, list):
      shown = f"{len(then):,} of them", f"{len(now):,}"
    return f"{under}{key}", *shown
  return None
