"""Part of a source: the same in every run and on every host, with the classes in their shares.

Images at equal distances would be of one class where classes come in turn. So they are sorted by
label, divided into strata of equal size, and one is drawn from each by a fixed seed.

Imports: data, errors.
"""

import copy
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from contrastive_jax import data, errors, plural
from contrastive_jax.data import Example, Source, identity

_HELD_OUT = 1_000  # where a run does not say: a standard error of 1.6 points at most
_HELD_OUT_PART = 10  # but no more than one in so many of a smaller set
_FOR_PARTS, _FOR_HOLDING_OUT = 4, 5  # draws of their own, so that neither part favours the other


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

  @property
  def listing(self) -> Any:
    """The files of the whole source; None: it has none."""
    return getattr(self._source, "listing", None)

  def in_common(self, other: Source) -> int:
    """Returns how many images of `other` the whole source has, if it can tell, else 0."""
    count = getattr(self._source, "in_common", None)
    return 0 if count is None else count(other)

  def ahead(self, indices: Sequence[int]) -> "Subset":
    """Returns this part with some records at hand, if its source can read ahead."""
    part = copy.copy(self)
    part._source = data.ahead(self._source, [int(self._positions[i]) for i in indices])
    return part

  def within(self, size_px: int) -> "Subset":
    """Returns this part with images shrunk to fit in a square, if its source can shrink them."""
    part = copy.copy(self)
    part._source = data.within(self._source, size_px)
    return part

  def formed(self, form: Any) -> "Subset":
    """Returns this part with images in another form than 8-bit RGB, if its source can."""
    part = copy.copy(self)
    part._source = data.formed(self._source, form)
    return part if part._source is not self._source else self

  def read_labels(self) -> np.ndarray | None:
    """Returns all labels, int [n], as its source reads them; None: it cannot."""
    read = getattr(self._source, "read_labels", None)
    return None if read is None else read()[self._positions]


class TrainingPart(Subset):
  """A part that is a training set of its own: `index` counts its examples, as memories do."""

  def __getitem__(self, index: int) -> Example:
    return {**super().__getitem__(index), "index": index}


def hold_out(source: Source, count: int | None) -> tuple[Source, Source | None]:
  """Divides a training set into what is trained on and what the run is scored on meanwhile.

  Args:
    source: the training images.
    count: of those held out, each class with its share; None: see `num_held_out`. Images that are
      known to have no label are not held out: they cannot be scored.

  Returns:
    What is trained on, and what is held out: None, if that is nothing.

  Raises:
    UserError: nothing would be left to train on.
  """
  n = len(source)
  count = _tell_of_no_labels(num_held_out(n, source.num_classes, count), source)
  if not count:
    return source, None
  able = _by_label(source)
  if source.num_classes and (labels := labels_of(source)) is not None and (labels < 0).any():
    able = able[labels[able] >= 0]
    if count > len(able):
      logging.getLogger(__name__).warning(
        "warning: data.held_out %d is more than the %s held out",
        count,
        plural.of(len(able), "image with a label, which is", "images with a label, which are"),
      )
      count = len(able)
  held_out = np.sort(_one_of_each_stratum(able, count, purpose=_FOR_HOLDING_OUT))
  kept = np.setdiff1d(np.arange(n), held_out, assume_unique=True)
  return TrainingPart(source, kept), Subset(source, held_out)


def _tell_of_no_labels(count: int, source: Source) -> int:
  """Returns `count`; a warning tells of images that are withheld though nothing can be scored."""
  if count and not source.num_classes:
    logging.getLogger(__name__).warning(
      "warning: data.held_out %d: these images are not trained on, but the source has no labels: "
      "nothing is scored on them; --config.data.held_out=0 trains on all",
      count,
    )
  return count


def num_held_out(num_images: int, num_classes: int, count: int | None) -> int:
  """Returns how many of `num_images` a run holds out that asks for `count`.

  Where it does not say, 1,000 or a tenth of them, whichever is less; none without labels, since
  there is nothing to score.

  Raises:
    UserError: nothing would be left to train on.
  """
  if count is None:
    return min(_HELD_OUT, num_images // _HELD_OUT_PART) if num_classes else 0
  if not 0 <= count < num_images:
    raise errors.UserError(
      f"data.held_out {count} is outside 0..{num_images - 1}, since the training set has "
      f"{plural.of(num_images, 'image')}; hold out fewer, or set --config.data.held_out=0 to "
      "train on all"
    )
  return count


def evenly(source: Source, at_most: int) -> Source:
  """Returns `at_most` examples, each class with its share of them, or the source if it has no more.

  Where labels are known only by reading every image, the shares are those of chance.
  """
  if len(source) <= at_most:
    return source
  return Subset(source, np.sort(_one_of_each_stratum(_by_label(source), at_most)))


def labelled(source: Source) -> Source:
  """Returns the examples that are known to have a label, or the source if none or all are."""
  labels = labels_of(source)
  has_one = np.zeros(0, bool) if labels is None else labels >= 0
  return Subset(source, np.flatnonzero(has_one)) if 0 < has_one.sum() < len(has_one) else source


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


def _by_label(source: Source) -> np.ndarray:
  """Returns all positions, int [n], those of a class together where labels are known."""
  labels = labels_of(source)
  return np.arange(len(source)) if labels is None else np.argsort(labels, kind="stable")


def _one_of_each_stratum(
  positions: np.ndarray, count: int, stream: int = 0, purpose: int = _FOR_PARTS
) -> np.ndarray:
  """Returns `count` of the positions [n], one drawn from each of as many parts of equal size."""
  edges = np.arange(count + 1) * len(positions) // count
  # The raw stream of Philox, which NumPy keeps stable; the bias of the remainder is below 1e-12.
  drawn = np.random.Philox(key=[0, stream], counter=[0, 0, 0, purpose]).random_raw(count)
  return positions[edges[:-1] + (drawn % np.diff(edges).astype(np.uint64)).astype(int)]
