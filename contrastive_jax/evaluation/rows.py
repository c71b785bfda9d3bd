"""Features as they come, batch by batch, in one array a layer that is made once, of known size.

To collect parts and to join and sort them later takes three times the memory: ImageNet's 1,281,167
rows of 2,048 numbers are 10.5 GB.
"""

import math

import numpy as np

PIECE = 8_192  # rows looked at at a time
_ALIGNED = 64  # bytes; see `aligned`


class Rows:
  """Rows of several arrays, appended; `finish` returns them in the order of "index".

  Args:
    size: how many rows come at most; None: not known, and memory doubles where it is full.
  """

  def __init__(self, size: int | None = None):
    self._size, self._count = size, 0
    self._arrays: dict[str, np.ndarray] = {}

  def add(self, rows: dict[str, np.ndarray]) -> None:
    """Appends rows [b, ...] of each array. Raises ValueError: more come than were announced."""
    end = self._count + len(rows["index"])
    for key, values in rows.items():
      if key not in self._arrays:  # pages that are never written take no memory
        size = self._size or max(1, end)
        self._arrays[key] = aligned((size, *values.shape[1:]), values.dtype)
      whole = self._arrays[key]
      if end > len(whole):
        if self._size is not None:
          raise ValueError(f"{end} rows came, {self._size} were to come")
        grown = aligned((max(end, 2 * len(whole)), *whole.shape[1:]), whole.dtype)
        grown[: self._count] = whole[: self._count]
        self._arrays[key] = whole = grown
      whole[self._count : end] = values
    self._count = end

  def finish(self) -> dict[str, np.ndarray]:
    """Returns all rows by index; they are copied only if they came in another order."""
    found = {key: values[: self._count] for key, values in self._arrays.items()}
    index = found["index"]
    if (index[1:] >= index[:-1]).all():
      return found
    order = np.argsort(index, kind="stable")
    for key in found:
      ordered = aligned(found[key].shape, found[key].dtype)
      np.take(found[key], order, axis=0, out=ordered, mode="clip")  # without a copy of all
      found[key] = self._arrays[key] = ordered  # one array at a time is there twice
    return found


def aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
  """Returns an empty array at an address of which a CPU device takes it without a copy."""
  size = math.prod(shape) * np.dtype(dtype).itemsize
  raw = np.empty(size + _ALIGNED, np.uint8)
  first = -raw.ctypes.data % _ALIGNED
  return raw[first : first + size].view(dtype).reshape(shape)


def not_finite(x: np.ndarray) -> np.ndarray:
  """Returns the numbers of the rows [n, F] that float32 cannot hold, without a copy of all."""
  found = []
  for start in range(0, len(x), PIECE):
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite there
      piece = x[start : start + PIECE].astype(np.float32, copy=False)
    found.append(start + np.flatnonzero(~np.isfinite(piece).all(axis=-1)))
  return np.concatenate(found) if found else np.empty(0, int)
