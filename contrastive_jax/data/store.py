"""Examples of any source as host arrays of one size, decoded once (small sets) or when asked for.

A damaged image is replaced by the next readable one, never skipped: skipping would shift every
later batch, and a run could no longer be repeated or taken up again. What cannot be read for the
moment is waited for, and never taken for damaged.
"""

import concurrent.futures
import threading
import weakref
from typing import Any

import numpy as np

from contrastive_jax import data, errors, limits, plural, reading
from contrastive_jax.data import Refused, Source, Unreadable, fitting, images, pixels
from contrastive_jax.data.decoding import PIXELS, Decoding
from contrastive_jax.data.unreadable import Told

MEMORY_LIMIT_BYTES = 2 * 2**30  # cache="auto" keeps sets up to this size
MAX_UNREADABLE_NEIGHBOURS = 100
DEFAULT_HOST_SIZE_PX = 512  # of sources whose images are of unknown or many sizes
_MOST_IN_PIECE = 64  # images that a thread takes at a time

Batch = dict[str, np.ndarray]


def empty(form: dict[str, tuple[np.dtype, tuple[int, ...]]]) -> Batch:
  """Returns arrays of zeros. Raises ReadFailed: there is no memory for them, also after a while."""
  sides = " x ".join(map(str, form["image"][1]))
  return reading.patiently(
    f"memory for canvases, {sides}",
    lambda: {key: np.zeros(shape, dtype) for key, (dtype, shape) in form.items()},
  )


class _Known:
  """What has been learnt about a source; no reference back to it, so that it can be freed."""

  def __init__(self):
    self.lock = threading.Lock()
    self.unreadable: dict[int, str] = {}  # which and why
    self.refused: set[int] = set()  # those of them whose text says what to change
    self.decoded: dict[tuple[int, pixels.Form], Batch] = {}  # by canvas size and form


_known: weakref.WeakKeyDictionary[Source, _Known] = weakref.WeakKeyDictionary()


def host_size(source: Source, host_size_px: int | None) -> int:
  """Returns the side of the canvas: as given, else the images' own size, else 512."""
  return host_size_px or source.native_size_px or DEFAULT_HOST_SIZE_PX


class Store:
  """Loads examples by position as {image, extent, label, index, replaced}, see `form`.

  Decoded sets stay in memory as long as their source lives: opening a second store is free.
  """

  def __init__(self, source: Source, list_unreadable: str | None = None, **decoding: Any):
    """Opens a store; with a cache, decodes the whole source now.

    Args:
      source: where the images come from.
      list_unreadable: path of a file for the names of unreadable images, see `unreadable.Told`.
      **decoding: fields of `Decoding`. For a canvas of size None see `host_size`; a cache that is
        "auto" keeps what takes up to 2 GiB.

    Raises:
      UserError: there are no images, they are not of the form that the options ask for, or the
        cache needs more memory than the machine has.
    """
    options = Decoding(**decoding)
    if not len(source):
      raise errors.UserError("the source has no images; name another split or path")
    self.size_px = host_size(source, options.host_size_px)
    self._source, self._options, self._pool = source, options, None
    self._state = _known.setdefault(source, _Known())
    self._told = Told(list_unreadable, self._state.unreadable.values())
    self._form = pixels.Form(*(getattr(options, name) for name in PIXELS))
    values = self._form.channels * self._form.dtype.itemsize
    bytes_needed = len(source) * self.size_px**2 * values
    fits = options.cache == "auto" and bytes_needed <= MEMORY_LIMIT_BYTES
    self.in_memory = options.cache == "memory" or fits
    if (self.size_px, self._form) in self._state.decoded:
      return
    if self.in_memory and bytes_needed > limits.host_bytes():
      raise errors.UserError(
        f"data.cache {options.cache} needs {bytes_needed / 2**30:,.1f} GiB for {len(source):,} "
        f"canvases of {self.size_px} x {self.size_px}, and this machine has "
        f"{limits.host_bytes() / 2**30:,.1f} GiB; set --config.data.cache=none, or a smaller "
        "data.host_size_px"
      )
    fitting.check(source, self._form)
    if self.in_memory:
      whole = empty(self.form(len(source)))
      self._decode(np.arange(len(source)), whole)
      self._state.decoded[self.size_px, self._form] = whole
      self._pool.shutdown()
      self._pool = None

  def __len__(self) -> int:
    return len(self._source)

  @property
  def num_workers(self) -> int:
    """Processes that decode; none where the images are in memory."""
    return 0 if self.in_memory else self._options.num_workers

  def __getstate__(self):  # to worker processes: no thread, no lock
    return {**self.__dict__, "_pool": None, "_state": None}

  def __setstate__(self, state):
    self.__dict__.update(state)
    self._state = _known.setdefault(self._source, _Known())

  def form(self, b: int) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
    """Returns type and shape of the arrays that `load` fills, for b examples.

    image uint8 [b, S, S, 3] (of 16 bits: uint16, of C channels: [b, S, S, C]), extent int32 [b, 2]
    (h, w in the canvas), label int32 [b], index int32 [b], replaced int32 [b] (1: the file was
    unreadable; all of the slot is that of a neighbour).
    """
    number = np.dtype(np.int32)
    return {
      "image": (self._form.dtype, (b, self.size_px, self.size_px, self._form.channels)),
      "extent": (number, (b, 2)),
      "label": (number, (b,)),
      "index": (number, (b,)),
      "replaced": (number, (b,)),
    }

  def load(self, positions: np.ndarray, out: Batch) -> None:
    """Loads examples by their positions in the source, int [b].

    Args:
      positions: of the examples.
      out: arrays of `form`, of zeros; written in place.

    Raises:
      UserError: more than 100 neighbours in a row are damaged.
      ReadFailed: the system could not read an image, and waiting did not help.
    """
    with self._state.lock:
      self._told.write()
    if not self.in_memory:
      self._decode(positions, out)
      return
    for key, values in self._state.decoded[self.size_px, self._form].items():
      np.take(values, positions, axis=0, out=out[key], mode="clip")  # else it copies out

  def _decode(self, positions: np.ndarray, out: Batch) -> None:
    b = len(positions)

    piece = max(1, min(_MOST_IN_PIECE, -(-b // self._options.num_threads)))  # none is idle

    def fill(start):
      rows = range(start, min(start + piece, b))
      source = data.within(data.formed(self._source, self._form), self.size_px)
      source = data.ahead(source, [int(positions[row]) for row in rows])
      for row in rows:
        example, out["replaced"][row] = self._readable(source, int(positions[row]))
        image = self._formed(example["image"])
        out["extent"][row] = images.place(image, out["image"][row])
        out["label"][row], out["index"][row] = example["label"], example["index"]

    with self._state.lock:
      if self._pool is None:
        self._pool = concurrent.futures.ThreadPoolExecutor(self._options.num_threads, "decode")
    pieces = [self._pool.submit(fill, start) for start in range(0, b, piece)]
    concurrent.futures.wait(pieces, return_when=concurrent.futures.FIRST_EXCEPTION)
    begun = [piece for piece in pieces if not piece.cancel()]
    concurrent.futures.wait(begun)  # or they would go on beside whoever tries again
    for piece in begun:
      piece.result()

  def _formed(self, image: np.ndarray) -> np.ndarray:
    """Returns an image as the canvas takes it: some sources give 8-bit RGB alone."""
    if image.dtype == self._form.dtype and image.shape[-1] == self._form.channels:
      return image
    return pixels.formed(image, self._form)

  def _readable(self, source: Source, position: int):
    """Returns (example, 0), or (the next readable example, 1)."""
    n = len(source)
    for step in range(min(n, MAX_UNREADABLE_NEIGHBOURS + 1)):
      neighbour = (position + step) % n
      if neighbour in self._state.unreadable:
        continue
      try:
        found = reading.patiently(f"image {neighbour}", lambda at=neighbour: source[at])
        return found, int(step > 0)
      except Unreadable as error:
        with self._state.lock:
          if neighbour not in self._state.unreadable:
            self._state.unreadable[neighbour] = str(error)
            self._state.refused |= {neighbour} if isinstance(error, Refused) else set()
            self._told.tell(str(error), len(self._state.unreadable))
    which = f"{step + 1} images in a row from number {position} cannot be read (limit"
    which += f" {MAX_UNREADABLE_NEIGHBOURS})"
    none = f"none of the {plural.of(n, 'image')} can be read"
    first = " ".join(self._state.unreadable[position].split())[:500]
    first += "" if position in self._state.refused else "; repair or remove them"
    raise errors.UserError(f"{which if step + 1 < n else none}, the first: {first}")
