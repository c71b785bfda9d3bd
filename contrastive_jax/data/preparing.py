"""Copies a set into shards of records with shrunk images, see `prepared`: once, for many epochs.

A shard is the unit of work: it is written beside its name, read back, renamed, and a note of it is
made. Whoever starts again after a kill goes on with the shards that have no note. So do several
machines, each with its part of the shards; the last one finds all notes and finishes the set.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import io
import json
import logging
import os
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import xxhash
from PIL import Image

from contrastive_jax import data, errors, locking, places, reading
from contrastive_jax.data import (
  Source,
  Unreadable,
  identity,
  images,
  kept,
  pixel_range,
  prepared,
  records,
  tf_example,
)

KINDS = {
  "jpeg": {"format": "JPEG"},
  "webp": {"format": "WEBP"},
  "webp-lossless": {"format": "WEBP", "lossless": True},
  "png": {"format": "PNG"},
}
LOSSLESS = ("webp-lossless", "png")
_PIECE = 16  # images that a thread takes at a time
_AHEAD = 2  # pieces a thread that may wait to be written
_SAID_EVERY_S = 10.0
_THEN = "give the same contrastive_jax prepare again: it goes on with the shards that are missing"


@dataclasses.dataclass(frozen=True)
class Kept:
  """How images are kept.

  Attributes:
    size_px: side of a square that each is shrunk to fit in; None: all keep their size.
    kind: one of `KINDS`.
    quality: 1 to 100, of a format that loses something.
    images_per_shard: the last shard has fewer.
  """

  size_px: int | None = None
  kind: str = "jpeg"
  quality: int = 95
  images_per_shard: int = 8192

  def __post_init__(self):
    if self.kind not in KINDS:
      raise errors.UserError(f"--format={self.kind} is unknown; use one of {', '.join(KINDS)}")
    for name, value, least, most in (
      ("size_px", self.size_px, 1, 2**14),
      ("quality", self.quality, 1, 100),
      ("images_per_shard", self.images_per_shard, 1, 2**24),
    ):
      if value is not None and not least <= value <= most:
        raise errors.UserError(f"--{name}={value} is outside {least} to {most:,}")

  def encode(self, image: np.ndarray) -> bytes:
    """Returns an image, uint8 [h, w, 3], as it is kept: shrunk as on a canvas of that side."""
    if self.size_px is not None:
      image = images.shrunk(image, self.size_px)
    buffer, lossy = io.BytesIO(), {} if self.kind in LOSSLESS else {"quality": self.quality}
    Image.fromarray(image).save(buffer, **KINDS[self.kind], **lossy)
    return buffer.getvalue()


def prepare(
  source: Source,
  split: str,
  folder: pathlib.Path,
  how: Kept,
  *,
  part: int = 0,
  parts: int = 1,
  num_threads: int = 4,
  check: bool = False,
) -> bool:
  """Makes this part's shards of a split, those that are not there yet.

  Args:
    source: the images.
    split: names the files.
    folder: where they go.
    how: images are kept.
    part: of the shards: those whose number leaves this remainder
    parts: by this.
    num_threads: that decode and encode.
    check: whether shards that are there are read and compared with their digests.

  Returns:
    Whether the whole split is there.

  Raises:
    UserError: the folder holds another set under that name.
    SaveFailed: it cannot be written for now.
    ReadFailed: images cannot be read for now.
  """
  if pixel_range.of(source):
    raise errors.UserError(
      f"pixels of the split {split!r} do not have 8 bits, and prepared images do: shades would be "
      "lost; train on the source itself"
    )
  count = -(-len(source) // how.images_per_shard)
  plan = {
    "form": prepared.FORM,
    "identity": identity.of(source),
    "kept as": dataclasses.asdict(how),
    "shards": count,
  }
  with errors.saving(str(folder), _THEN):
    notes = folder / f"{split}.notes"
    notes.mkdir(parents=True, exist_ok=True)
  _check_plan(folder, split, plan)
  work = _Work(source, split, folder, notes, how, count)
  own = range(part, count, parts)
  with _alone(notes / f"{part}-of-{parts}.lock", part, parts):
    missing = [number for number in own if not work.is_there(number, check)]
    there = len(own) - len(missing)
    if there:
      _log().info("%s: %d of %d shards of this part are there already", split, there, len(own))
    work.make(missing, num_threads)
  return work.finish(plan)


class _Work:
  """The shards of a split, and the notes of those that are whole."""

  def __init__(self, source, split, folder, notes, how: Kept, count: int):
    self._source, self._split, self._folder, self._notes = source, split, folder, notes
    self._how, self._count = how, count

  def _path(self, number: int) -> pathlib.Path:
    return self._folder / prepared.shard_name(self._split, number, self._count)

  def _note(self, number: int) -> pathlib.Path:
    return self._notes / f"{number:05d}-of-{self._count:05d}.note"

  def _positions(self, number: int) -> range:
    start = number * self._how.images_per_shard
    return range(start, min(start + self._how.images_per_shard, len(self._source)))

  def is_there(self, number: int, check: bool) -> bool:
    """Returns whether a shard is as its note says: its size, and its digest if that is asked."""
    note, path = kept.load(self._note(number), 1), self._path(number)
    if note is None or not path.is_file() or path.stat().st_size != note[0]["bytes"]:
      return False
    return not check or _digest(path) == note[0]["xxh3_128"]

  def make(self, numbers: Sequence[int], num_threads: int) -> None:
    """Makes some shards, one after another, each by all threads."""
    progress = _Progress(self._split, sum(len(self._positions(n)) for n in numbers))
    with concurrent.futures.ThreadPoolExecutor(num_threads, "prepare") as threads:
      for number in numbers:
        self._make(number, threads, num_threads * _AHEAD, progress)

  def _make(self, number: int, threads, ahead: int, progress: "_Progress") -> None:
    path, positions = self._path(number), self._positions(number)
    temporary = path.with_name(f".{path.name}.tmp")  # this part's alone, by its lock
    pieces = [positions[i : i + _PIECE] for i in range(0, len(positions), _PIECE)]
    labels, unreadable = [], 0
    with errors.saving(str(path), _THEN), _writer(temporary) as writer:
      for piece in _in_order(threads, self._encoded, pieces, ahead):
        for record, label, reason in piece:
          writer.write(record)
          labels.append(label)
          unreadable += reason is not None
        progress.add(len(piece), sum(reason is not None for _, _, reason in piece))
    with errors.saving(str(path), _THEN):
      held = records.length(str(temporary))
      if held != len(positions):
        raise OSError(f"{held} records are read back of {len(positions)}")
      with temporary.open("rb") as file:
        os.fsync(file.fileno())
      head = {"images": held, "bytes": temporary.stat().st_size, "xxh3_128": _digest(temporary)}
      temporary.replace(path)
      kept.save(self._note(number), head | {"unreadable": unreadable}, [np.array(labels, np.int32)])

  def _encoded(self, positions: range) -> list[tuple[bytes, int, str | None]]:
    """Returns records, labels, and why there is no image (None: there is one)."""
    source, found = self._source, []
    if self._how.size_px is not None:
      source = data.within(source, self._how.size_px)
    source = data.ahead(source, positions)
    known = getattr(self._source, "labels", None)
    for position in positions:
      label = -1 if known is None else int(known[position])
      try:
        example = reading.patiently(f"image {position}", lambda at=position: source[at])
      except Unreadable as error:
        reason = str(error)
        record = tf_example.serialise({prepared.UNREADABLE: reason.encode(), "label": label})
        found.append((record, label, reason))
        continue
      label = int(example["label"])
      image = self._how.encode(example["image"])
      found.append((tf_example.serialise({"image": image, "label": label}), label, None))
    return found

  def finish(self, plan: dict) -> bool:
    """Writes what the set says of itself if all shards are there; returns whether they are."""
    notes = [kept.load(self._note(number), 1) for number in range(self._count)]
    if not all(notes):
      return False
    labels = np.concatenate([arrays[0] for _, arrays in notes])
    content = io.BytesIO()
    np.save(content, labels, allow_pickle=False)
    places.write(self._folder / f"{self._split}.labels.npy", content.getvalue())
    shards = [{"name": self._path(n).name} | head for n, (head, _) in enumerate(notes)]
    for shard in shards:
      shard.pop("sha256")  # of the note
    told = identity.digest([np.ascontiguousarray(labels, "<i4").data])
    said = json.dumps(plan | {"shards": shards, "labels": told}, indent=1)
    places.write(self._folder / f"{self._split}.json", said)
    return True


def _check_plan(folder: pathlib.Path, split: str, plan: dict) -> None:
  """Writes what is being made, or raises UserError if something else is."""
  path = prepared.plan_path(folder, split)
  found = prepared.read(path)
  if found is None:
    if path.exists():
      raise errors.UserError(f"{path} is not of contrastive_jax prepare; give another --out")
    places.write(path, json.dumps(plan))
    return
  before, now = found["identity"], plan["identity"]
  changes = identity.differences(before, now)
  changes += [
    f"--{'format' if key == 'kind' else key} {found['kept as'].get(key)} -> {value}"
    for key, value in plan["kept as"].items()
    if found["kept as"].get(key) != value
  ]
  if changes:
    raise errors.UserError(
      f"{folder} holds or will hold another split {split!r} ({'; '.join(changes)}); give another "
      "--out, or the former images and options"
    )


@contextlib.contextmanager
def _alone(path: pathlib.Path, part: int, parts: int) -> Iterator[None]:
  """Inside, no other process makes this part."""
  with errors.saving(str(path), _THEN):
    file = path.open("a+")
  with file:
    if holder := locking.take(file):
      raise errors.UserError(
        f"{holder} makes part {part} of {parts} in {path.parent.parent}; wait for it, or give "
        "another --shard"
      )
    yield


@contextlib.contextmanager
def _writer(path: pathlib.Path) -> Iterator:
  from array_record.python import array_record_module

  # Each record by itself: so it is read at random.
  writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
  try:
    yield writer
    writer.close()
  except BaseException:
    with contextlib.suppress(Exception):  # of a full disk
      writer.close()
    path.unlink(missing_ok=True)
    raise


def _in_order(threads, act: Callable, items: Sequence, ahead: int) -> Iterator:
  """Yields `act(item)` for each, in order, with some under way."""
  waiting: collections.deque = collections.deque()
  try:
    for item in items:
      waiting.append(threads.submit(act, item))
      if len(waiting) > ahead:
        yield waiting.popleft().result()
    while waiting:
      yield waiting.popleft().result()
  finally:
    for piece in waiting:
      piece.cancel()


def _digest(path: pathlib.Path) -> str:
  """Returns the XXH3 of a file, of 128 bits: it proves what nobody meant to change."""
  total = xxhash.xxh3_128()
  with path.open("rb") as file:
    while block := file.read(2**22):
      total.update(block)
  return total.hexdigest()


class _Progress:
  """Says now and then how far it is."""

  def __init__(self, split: str, count: int):
    self._split, self._count, self._done, self._unreadable = split, count, 0, 0
    self._begun = self._said = time.monotonic()

  def add(self, count: int, unreadable: int) -> None:
    self._done, self._unreadable = self._done + count, self._unreadable + unreadable
    now = time.monotonic()
    if now - self._said < _SAID_EVERY_S and self._done < self._count:
      return
    self._said = now
    rate = self._done / max(now - self._begun, 1e-9)
    left_min = (self._count - self._done) / rate / 60
    _log().info(
      "%s: %d of %d images of this part, %.0f images/s, %.1f min left, %d unreadable",
      *(self._split, self._done, self._count, rate, left_min, self._unreadable),
    )


def _log() -> logging.Logger:
  return logging.getLogger(__name__)
