"""One shard of a prepared set: images decoded, shrunk, encoded, written, read back and noted.

A shard is the unit of work, whoever makes it. It is written beside its name, read back, renamed,
and a note of it is made: what has a note is whole. A lock keeps two from making the same one.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import io
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import xxhash
from PIL import Image

from contrastive_jax import data, errors, locking, reading
from contrastive_jax.data import (
  Source,
  Unreadable,
  images,
  jpeg,
  kept,
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
THEN = "give the same contrastive_jax prepare again: it goes on with the shards that are missing"


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


@dataclasses.dataclass(frozen=True)
class Shards:
  """The shards of a split, and the notes of those that are whole.

  Attributes:
    source: the images.
    split: names the files.
    folder: where they go.
    how: images are kept.
  """

  source: Source
  split: str
  folder: pathlib.Path
  how: Kept

  @property
  def count(self) -> int:
    return -(-len(self.source) // self.how.images_per_shard)

  @property
  def notes(self) -> pathlib.Path:
    """The folder of notes and locks."""
    return self.folder / f"{self.split}.notes"

  def path(self, number: int) -> pathlib.Path:
    return self.folder / prepared.shard_name(self.split, number, self.count)

  def note(self, number: int) -> pathlib.Path:
    return self.notes / f"{number:05d}-of-{self.count:05d}.note"

  def positions(self, number: int) -> range:
    """Returns which images of the source belong to a shard."""
    start = number * self.how.images_per_shard
    return range(start, min(start + self.how.images_per_shard, len(self.source)))

  def is_there(self, number: int, check: bool) -> bool:
    """Returns whether a shard is as its note says: its size, and its digest if that is asked."""
    note, path = kept.load(self.note(number), 1), self.path(number)
    if note is None or not path.is_file() or path.stat().st_size != note[0]["bytes"]:
      return False
    return not check or digest(path) == note[0]["xxh3_128"]

  def make(
    self,
    number: int,
    num_threads: int = 1,
    check: bool = False,
    say: Callable[[int, int], None] = lambda count, unreadable: None,
  ) -> None:
    """Makes a shard unless it is there.

    Args:
      number: of the shard.
      num_threads: that decode and encode.
      check: whether one that is there is read, see `is_there`.
      say: is told now and then of so many images more, and how many of them cannot be read.

    Raises:
      UserError: another process makes it.
      SaveFailed: it cannot be written for now.
      ReadFailed: images cannot be read for now.
    """
    with alone(self.notes / f"{number:05d}.lock", f"shard {number} of {self.count}"):
      if not self.is_there(number, check):
        self._make(number, num_threads, say)

  def _make(self, number: int, num_threads: int, say) -> None:
    path, positions = self.path(number), self.positions(number)
    temporary = path.with_name(f".{path.name}.tmp")  # ours alone, by the lock
    pieces = [positions[i : i + _PIECE] for i in range(0, len(positions), _PIECE)]
    labels, unreadable = [], 0
    with errors.saving(str(path), THEN), _writer(temporary) as writer:
      for piece in _in_order(num_threads, self._encoded, pieces):
        for record, label, reason in piece:
          writer.write(record)
          labels.append(label)
          unreadable += reason is not None
        say(len(piece), sum(reason is not None for _, _, reason in piece))
    with errors.saving(str(path), THEN):
      held = records.length(str(temporary))
      if held != len(positions):
        raise OSError(f"{held} records are read back of {len(positions)}")
      with temporary.open("rb") as file:
        os.fsync(file.fileno())
      head = {"images": held, "bytes": temporary.stat().st_size, "xxh3_128": digest(temporary)}
      temporary.replace(path)
      head |= {"unreadable": unreadable, "decoder": jpeg.decoder()}
      kept.save(self.note(number), head, [np.array(labels, np.int32)])

  def _encoded(self, positions: range) -> list[tuple[bytes, int, str | None]]:
    """Returns records, labels, and why there is no image (None: there is one)."""
    source, found = self.source, []
    if self.how.size_px is not None:
      source = data.within(source, self.how.size_px)
    source = data.ahead(source, positions)
    known = getattr(self.source, "labels", None)
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
      image = self.how.encode(example["image"])
      found.append((tf_example.serialise({"image": image, "label": label}), label, None))
    return found


@contextlib.contextmanager
def alone(path: pathlib.Path, what: str) -> Iterator[None]:
  """Inside, no other process makes `what`, as errors call it. Raises UserError, SaveFailed."""
  with errors.saving(str(path), THEN):
    file = path.open("a+")
  with file:
    if holder := locking.take(file):
      raise errors.UserError(
        f"{holder} makes {what} in {path.parent.parent}; wait for it, or give another --shard"
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


def _in_order(num_threads: int, act: Callable, items: Sequence) -> Iterator:
  """Yields `act(item)` for each, in order, with some under way."""
  waiting: collections.deque = collections.deque()
  with concurrent.futures.ThreadPoolExecutor(num_threads, "prepare") as threads:
    try:
      for item in items:
        waiting.append(threads.submit(act, item))
        if len(waiting) > num_threads * _AHEAD:
          yield waiting.popleft().result()
      while waiting:
        yield waiting.popleft().result()
    finally:
      for piece in waiting:
        piece.cancel()


def digest(path: pathlib.Path) -> str:
  """Returns the XXH3 of a file, of 128 bits: it proves what nobody meant to change."""
  total = xxhash.xxh3_128()
  with path.open("rb") as file:
    while block := file.read(2**22):
      total.update(block)
  return total.hexdigest()
