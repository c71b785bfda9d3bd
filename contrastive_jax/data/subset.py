"""Part of a source, taken evenly over its whole length."""

import numpy as np

from contrastive_jax.data import Example, Source, identity


class Subset:
  """Some examples of another source; `index` stays their position in that source."""

  def __init__(self, source: Source, positions: np.ndarray):
    self._source, self._positions = source, positions
    self.num_classes, self.label_names = source.num_classes, source.label_names
    self.native_size_px = source.native_size_px
    self.factors = {key: values[positions] for key, values in source.factors.items()}

  def __len__(self) -> int:
    return len(self._positions)

  def content(self) -> str:
    """Returns a digest of what the whole source says and of the positions."""
    whole = identity.of(self._source)["content"]
    return identity.digest([whole.encode(), self._positions.astype(np.int64).tobytes()])

  def __getitem__(self, index: int) -> Example:
    return self._source[int(self._positions[index])]


def evenly(source: Source, at_most: int) -> Source:
  """Returns `at_most` examples at equal distances, or the source itself if it has no more.

  Equal distances suit sets sorted by class: the classes keep their shares.
  """
  n = len(source)
  return source if n <= at_most else Subset(source, np.arange(at_most) * n // at_most)
