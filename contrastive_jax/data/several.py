"""Several splits as one: train+unlabeled, train[:80%]+extra.

What has no labels is trained on beside what has: STL-10's 100,000 images, SVHN's extra digits.
"""

import copy
import itertools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from contrastive_jax import data, errors, plural
from contrastive_jax.data import Example, Source, identity, subset

BETWEEN = "+"


class Joined:
  """The images of several splits, one split after the other; `index` counts them all."""

  def __init__(self, splits: Sequence[Source]):
    self.splits = list(splits)
    self._past = np.cumsum([len(split) for split in splits])  # the last image of each
    self.num_classes = max(split.num_classes for split in splits)
    self.label_names = max((tuple(split.label_names) for split in splits), key=len)
    sizes = {split.native_size_px for split in splits}
    self.native_size_px = sizes.pop() if len(sizes) == 1 else None
    keys = set.intersection(*(set(split.factors) for split in splits))
    self.factors = {
      key: np.concatenate([split.factors[key] for split in splits]) for key in sorted(keys)
    }
    self.labels = _concatenated([_labels(split) for split in splits])

  def __len__(self) -> int:
    return int(self._past[-1])

  def __getitem__(self, index: int) -> Example:
    number, inside = self._place(index)
    return {**self.splits[number][inside], "index": index}

  def _place(self, index: int) -> tuple[int, int]:
    """Returns which split an image is of, and its position there."""
    if not 0 <= index < len(self):
      raise IndexError(index)
    number = int(np.searchsorted(self._past, index, side="right"))
    return number, int(index - (self._past[number - 1] if number else 0))

  def content(self) -> str:
    """Returns a digest of what each split says of its images."""
    each = (identity.of(split) for split in self.splits)
    return identity.digest(f"{one['images']} {one['content']}".encode() for one in each)

  def ahead(self, indices: Sequence[int]) -> "Joined":
    """Returns this source with some records at hand, of splits that can read ahead."""
    inside: dict[int, list[int]] = {}
    for number, position in map(self._place, indices):
      inside.setdefault(number, []).append(position)
    return self._of(
      data.ahead(split, inside[number]) if number in inside else split
      for number, split in enumerate(self.splits)
    )

  def within(self, size_px: int) -> "Joined":
    """Returns this source with images shrunk to fit in a square, of splits that can shrink them."""
    return self._of(data.within(split, size_px) for split in self.splits)

  def formed(self, form: Any) -> "Joined":
    """Returns this source with images in another form than 8-bit RGB, if its splits can."""
    formed = [data.formed(split, form) for split in self.splits]
    same = all(one is other for one, other in zip(formed, self.splits, strict=True))
    return self if same else self._of(formed)

  def _of(self, splits: Any) -> "Joined":
    source = copy.copy(self)
    source.splits = list(splits)
    return source

  def read_labels(self) -> np.ndarray | None:
    """Returns all labels, int [n], as the splits read them; None: one cannot."""
    found = []
    for split in self.splits:
      labels, read = _labels(split), getattr(split, "read_labels", None)
      found.append(read() if labels is None and read is not None else labels)
    return _concatenated(found)


def names_in(split: str) -> list[str]:
  """Returns the names of the splits that one is of, if it is of several, or is called so."""
  return [name.strip() for name in split.split(BETWEEN)]


def opened(split: str, one: Callable[[str], Source]) -> Source:
  """Opens a split, or several with "+" between their names; a split that is called so comes first.

  Args:
    split: as it was asked for.
    one: opens a split, or a slice of one, by its name.

  Raises:
    UserError: one of them cannot be opened, comes twice, or numbers classes otherwise.
  """
  try:
    return one(split)
  except errors.UserError:
    if BETWEEN not in split:
      raise
  names = names_in(split)
  if "" in names:
    raise errors.UserError(
      f"{split!r} names no split at one side of {BETWEEN!r}; write e.g. train{BETWEEN}extra"
    )
  if twice := next((name for name in names if names.count(name) > 1), None):
    raise errors.UserError(f"{split!r} names {twice} twice; name each split once")
  found = [one(name) for name in names]
  _check_no_twins(found, names)
  _check_classes(found, names)
  return Joined(found)


def _check_no_twins(found: Sequence[Source], names: Sequence[str]) -> None:
  """Raises UserError if two names are of the same images, as train and training are.

  A line says if some are the same, as of train[:60%] and train[40%:]: they may be meant to weigh.
  """
  from contrastive_jax.data import parts  # which imports this module

  for (one, first), (other, second) in itertools.combinations(zip(found, names, strict=True), 2):
    count = parts.in_common(one, other)
    if count == len(one) == len(other):
      place = f" of {one.root}" if hasattr(one, "root") else ""
      raise errors.UserError(
        f"{first} and {second} are the same {plural.of(len(one), 'image')}{place}, each of which "
        "would come twice; name one of them"
      )
    if count:
      logging.getLogger(__name__).warning(
        "warning: %s of both %s and %s, and %s twice in each epoch",
        plural.of(count, "image is", "images are"),
        *(first, second, "comes" if count == 1 else "come"),
      )


def _check_classes(found: Sequence[Source], names: Sequence[str]) -> None:
  """Raises UserError unless a number is the same class in all splits that have labels."""
  known = [(source, name) for source, name in zip(found, names, strict=True) if source.num_classes]
  for source, name in known[1:]:
    first, first_name = known[0]
    pairs = zip(first.label_names, source.label_names, strict=False)  # one may know more
    if any(a != b for a, b in pairs) or bool(first.label_names) != bool(source.label_names):
      raise errors.UserError(
        f"{first_name} and {name} number classes differently ({_shown(first)} and "
        f"{_shown(source)}), and cannot be one split; number the classes of both alike, or leave "
        "one out"
      )


def _shown(source: Source) -> str:
  names = [*source.label_names[:3], *(["..."] if len(source.label_names) > 3 else [])]
  return ", ".join(names) or "no names"


def _labels(source: Source) -> np.ndarray | None:
  """Returns the labels of a split, -1 where it has none; None: they are not known."""
  found = subset.labels_of(source)
  return np.full(len(source), -1) if found is None and not source.num_classes else found


def _concatenated(labels: Sequence[np.ndarray | None]) -> np.ndarray | None:
  return None if any(some is None for some in labels) else np.concatenate(labels)
