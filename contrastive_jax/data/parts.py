"""Parts of a split: slices such as train[:80%], and images held out as a split of their own.

An image's name decides by its hash on which side of a bound it lies, so that it stays there when
others are added or removed. The sizes of parts are therefore those of chance, within a few images.
Images without names, those of arrays, are told by their index.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import xxhash

from contrastive_jax import data, errors, plural
from contrastive_jax.data import splits
from contrastive_jax.data.several import Joined
from contrastive_jax.data.subset import Subset, TrainingPart

_SLICE = re.compile(r"(.+)\[(-?\d+%?)?:(-?\d+%?)?\]")
_FOR_SLICES, _FOR_HOLDOUT = 1, 2  # seeds: a slice of what is left after the other favours no side
_ALL = 2**64  # hashes are below


class Slice(NamedTuple):
  """Both bounds as they were written, such as "80%" or "-1000"; None: the end."""

  start: str | None
  stop: str | None


class Part(TrainingPart):
  """Some images of a split, which count as a split of their own."""

  def hashes(self, seed: int) -> np.ndarray:
    """Returns those of its images by the names, or indices, in the whole split."""
    return _hashes(self._source, seed)[self._positions]

  def in_common(self, other: data.Source) -> int:
    """Returns how many images of `other` are here too."""
    return in_common(self, other)


def parsed(split: str) -> tuple[str, Slice | None]:
  """Returns the name of a split and the slice of it, if one is asked for. Raises UserError."""
  match = _SLICE.fullmatch(split)
  if not match and re.fullmatch(r"\w+\[.*", split):
    raise errors.UserError(
      f"{split!r} is no slice of a split; write e.g. train[:80%], train[80%:] or train[:1000]"
    )
  return (match[1], Slice(match[2], match[3])) if match else (split, None)


def sliced(source: data.Source, cut: Slice, split: str) -> Part:
  """Returns a slice of a split: positions in the order of hashes, or percent of all hashes.

  Raises:
    UserError: there is nothing in it.
  """
  found = _hashes(source, _FOR_SLICES)
  order = np.argsort(found, kind="stable")
  start = 0 if cut.start is None else _place(cut.start, found[order], split)
  stop = len(order) if cut.stop is None else _place(cut.stop, found[order], split)
  if start >= stop:
    raise errors.UserError(
      f"{split!r} holds none of the {plural.of(len(source), 'image')} of the split; take a larger "
      "slice"
    )
  return Part(source, np.sort(order[start:stop]))


def held_out(make: Callable[[str], data.Source], split: str, part: float, key: str) -> data.Source:
  """Opens a split where a part of the training images is the split "test".

  Args:
    make: opens a split as it lies there; raises `errors.NoSplit` or `errors.Absent` without it.
    split: as it was asked for.
    part: of the training images; 0: none.
    key: that sets it.

  Raises:
    UserError: there is a split "test", or too few images to part them.
  """
  kind = splits.kind(split)
  if not part or kind not in ("train", "test"):
    return make(split)
  try:
    make(split if kind == "test" else "test")
  except (errors.NoSplit, errors.Absent):
    whole = make("train" if kind == "test" else split)
  else:
    raise errors.UserError(
      f"{key} {part} is to make a split test of training images, and there is one already; leave "
      "it out (data.held_out holds images out that the run itself is scored on)"
    )
  is_out = _hashes(whole, _FOR_HOLDOUT) < np.uint64(int(part * _ALL))
  positions = np.flatnonzero(is_out if kind == "test" else ~is_out)
  if not len(positions):
    raise errors.UserError(
      f"{key} {part} of {plural.of(len(whole), 'image')} leaves no image in split {split!r}; set "
      "another part"
    )
  return Part(whole, positions)


def check(part: float, key: str) -> None:
  """Raises `UserError`, with `key`, unless a part of all images can be held out."""
  if not 0 <= part < 1:
    raise errors.UserError(f"{key} {part} is outside 0 to 1; set --config.{key}=0.1, say, or 0")


def in_common(one: data.Source, other: data.Source) -> int:
  """Returns how many images of `other` are in `one` too, if the sources can tell, else 0."""
  one, other = _whole(one, Part), _whole(other, Part)
  if isinstance(one, Joined):
    return sum(in_common(split, other) for split in one.splits)
  if isinstance(other, Joined):
    return sum(in_common(one, split) for split in other.splits)
  (all_here, here), (all_there, there) = _located(one), _located(other)
  count = all_here.in_common(all_there) if hasattr(all_here, "in_common") else 0
  if one is all_here and other is all_there or not count:
    return count
  if count == len(all_here) == len(all_there):  # the same images in the same order
    return len(np.intersect1d(here, there))
  if not all(hasattr(source, "places") for source in (all_here, all_there)):
    return 0
  return len(np.intersect1d(all_here.places(here), all_there.places(there)))


def _whole(source: Any, but: type) -> Any:
  """Returns what a subset is of, where it tells the images of all that."""
  while isinstance(source, Subset) and not isinstance(source, but):
    source = source._source
  return source


def _located(source: Any) -> tuple[Any, np.ndarray]:
  """Returns a source that is no subset, and the positions of some images in it."""
  positions = np.arange(len(source))
  while isinstance(source, Subset):
    source, positions = source._source, source._positions[positions]
  return source, positions


def _hashes(source: Any, seed: int) -> np.ndarray:
  """Returns a number below 2^64 for each image, uint64 [n], by its name; without names by index."""
  if hasattr(source, "hashes"):
    return source.hashes(seed)
  numbers = (xxhash.xxh3_64_intdigest(b"%d" % i, seed) for i in range(len(source)))
  return np.fromiter(numbers, np.uint64, len(source))


def _place(bound: str, hashes: np.ndarray, split: str) -> int:
  """Returns how many images, whose hashes come in order, lie before a bound."""
  n, value = len(hashes), int(bound.rstrip("%"))
  if not bound.endswith("%"):
    return max(0, n + value) if value < 0 else min(n, value)
  percent = 100 + value if value < 0 else value
  if not 0 <= percent <= 100:
    raise errors.UserError(f"{split!r}: {bound} is outside 0 % to 100 %")
  return n if percent == 100 else int(np.searchsorted(hashes, np.uint64(percent * _ALL // 100)))
