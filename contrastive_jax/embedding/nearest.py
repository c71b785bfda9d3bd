"""The rows that are nearest to some queries, kept while pieces of rows pass by."""

import numpy as np
from jaxtyping import Float, Int


def unit(x: Float[np.ndarray, "n F"]) -> Float[np.ndarray, "n F"]:
  """Returns the rows at length 1, those of length 0 as they are."""
  return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


class Nearest:
  """The k largest cosines of each of q queries with all rows so far.

  Attributes:
    cosine: [q, k], the largest first; -inf where there were fewer rows.
    index: [q, k], of the rows; -1 likewise.
  """

  def __init__(self, queries: Float[np.ndarray, "q F"], k: int):
    self._queries = unit(queries)
    self.cosine = np.full((len(queries), k), -np.inf, np.float32)
    self.index = np.full((len(queries), k), -1, np.int64)

  def add(
    self,
    rows: Float[np.ndarray, "n F"],
    index: Int[np.ndarray, " n"],
    without: Int[np.ndarray, " q"] | None = None,
  ) -> None:
    """Looks at more rows; `without` names one for each query that is not to count (-1: none)."""
    found = self._queries @ unit(rows).T
    if without is not None:
      found[without[:, None] == index[None]] = -np.inf
    cosine = np.concatenate([self.cosine, found], axis=1)
    numbers = np.concatenate([self.index, np.broadcast_to(index, found.shape)], axis=1)
    order = np.argsort(-cosine, axis=1, kind="stable")[:, : self.cosine.shape[1]]
    self.cosine = np.take_along_axis(cosine, order, 1)
    self.index = np.where(np.isinf(self.cosine), -1, np.take_along_axis(numbers, order, 1))
