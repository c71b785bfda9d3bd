"""Features as they come, batch by batch, in one array a layer that is made once, of known size.

To collect parts and to join and sort them later takes three times the memory: ImageNet's 1,281,167
rows of 2,048 numbers are 10.5 GB.
"""

import numpy as np

_PIECE = 8_192  # rows looked at at a time


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
        self._arrays[key] = np.empty((self._size or max(1, end), *values.shape[1:]), values.dtype)
      whole = self._arrays[key]
      if end > len(whole):
        if self._size is not None:
          raise ValueError(f"{end} rows came, {self._size} were to come")
        grown = np.empty((max(end, 2 * len(whole)), *whole.shape[1:]), whole.dtype)
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
      found[key] = self._arrays[key] = found[key][order]  # one array at a time is there twice
    return found


def not_finite(x: np.ndarray) -> np.ndarray:
  """Returns the numbers of the rows [n, F] that float32 cannot hold, without a copy of all."""
  found = []
  for start in range(0, len(x), _PIECE):
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite there
      piece = x[start : start + _PIECE].astype(np.float32, copy=False)
    found.append(start + np.flatnonzero(~np.isfinite(piece).all(axis=-1)))
  return np.concatenate(found) if found else np.empty(0, int)


def deviation(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns mean and standard deviation of each column of [n, F] in float64.

  They are NumPy's bit for bit. `np.std` makes a copy of all rows in float64. Here a piece is one,
  and the sum so far is added to its first row: sums over rows go from the first to the last.
  """
  mean = x.mean(axis=0, dtype=np.float64)
  total = None
  for start in range(0, len(x), _PIECE):
    squares = x[start : start + _PIECE] - mean
    squares *= squares
    if total is not None:
      squares[0] += total
    total = squares.sum(axis=0)
  return mean, np.sqrt(total / len(x))
