"""Part of a source: the same in every run and on every host, with the classes in their shares.

Images at equal distances would be of one class where classes come in turn. So they are sorted by
label, divided into strata of equal size, and one is drawn from each by a fixed seed.

Imports: data.
"""

import logging

import numpy as np

from contrastive_jax.data import Example, Source, identity


class Subset:
  """Some examples of another source; `index` stays their position in that source."""

  def __init__(self, source: Source, positions: np.ndarray):
    self._source, self._positions = source, positions
    self.num_classes, self.label_names = source.num_classes, source.label_names
    self.native_size_px = source.native_size_px
    self.factors = {key: values[positions] for key, values in source.factors.items()}
    labels = labels_of(source)
    self.labels = None if labels is None else labels[positions]

  def __len__(self) -> int:
    return len(self._positions)

  def content(self) -> str:
    """Returns a digest of what the whole source says and of the positions."""
    whole = identity.of(self._source)["content"]
    return identity.digest([whole.encode(), self._positions.astype(np.int64).tobytes()])

  def __getitem__(self, index: int) -> Example:
    return self._source[int(self._positions[index])]


def evenly(source: Source, at_most: int) -> Source:
  """Returns `at_most` examples, each class with its share of them, or the source if it has no more.

  Where labels are known only by reading every image, the shares are those of chance.
  """
  n, labels = len(source), labels_of(source)
  if n <= at_most:
    return source
  order = np.arange(n) if labels is None else np.argsort(labels, kind="stable")
  return Subset(source, np.sort(_one_of_each_stratum(order, at_most)))


def share(source: Source, part: float) -> Source:
  """Returns the same part of every class, one image at least: 0.01 of 1,300 are 13 of each.

  A source that does not know its labels may have `read_labels()`, which reads them without the
  images. Else a warning says that the classes have what chance gives them.
  """
  if part == 1:
    return source
  labels = labels_of(source)
  if labels is None and hasattr(source, "read_labels"):
    labels = source.read_labels()
  if labels is None:
    logging.getLogger(__name__).warning(
      "warning: the labels of this source are known only by reading every image: %g of the images "
      "are taken, and how many of each class is left to chance",
      part,
    )
    labels = np.zeros(len(source), int)
  chosen = []
  for label in np.unique(labels):
    positions = np.flatnonzero(labels == label)
    count = max(1, round(part * len(positions)))
    chosen.append(_one_of_each_stratum(positions, count, stream=len(chosen)))
  return Subset(source, np.sort(np.concatenate(chosen)))


def labels_of(source: Source) -> np.ndarray | None:
  """Returns all labels, int [n]; None: the source does not know them without reading images."""
  return getattr(source, "labels", None)


def _one_of_each_stratum(positions: np.ndarray, count: int, stream: int = 0) -> np.ndarray:
  """Returns `count` of the positions [n], one drawn from each of as many parts of equal size."""
  edges = np.arange(count + 1) * len(positions) // count
  # The raw stream of Philox, which NumPy keeps stable; the bias of the remainder is below 1e-12.
  drawn = np.random.Philox(key=[0, stream], counter=[0, 0, 0, 4]).random_raw(count)
  return positions[edges[:-1] + (drawn % np.diff(edges).astype(np.uint64)).astype(int)]
