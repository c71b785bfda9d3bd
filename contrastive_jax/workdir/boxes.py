"""Boxes: parts of an array by where they begin and how long they are, axis by axis."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple


class Box(NamedTuple):
  """`shape[i]` numbers from `start[i]` on, along each axis i."""

  start: tuple[int, ...]
  shape: tuple[int, ...]

  @property
  def size(self) -> int:
    return math.prod(self.shape)


def whole(shape: Sequence[int]) -> Box:
  """Returns the box that is all of an array."""
  return Box((0,) * len(shape), tuple(shape))


def of_index(index: Sequence[slice], shape: Sequence[int]) -> Box:
  """Returns the box of an index into an array of `shape`, as a sharding gives it."""
  ranges = [part.indices(size) for part, size in zip(index, shape, strict=True)]
  return Box(tuple(r[0] for r in ranges), tuple(r[1] - r[0] for r in ranges))


def overlap(a: Box, b: Box) -> Box | None:
  """Returns what two boxes have in common; None: nothing."""
  start = tuple(map(max, a.start, b.start))
  ends = (min(p + m, q + n) for p, m, q, n in zip(a.start, a.shape, b.start, b.shape, strict=True))
  shape = tuple(end - begin for end, begin in zip(ends, start, strict=True))
  return Box(start, shape) if all(n > 0 for n in shape) else None


def inside(box: Box, outer: Box) -> tuple:
  """Returns the index of `box` into an array that holds `outer`: of a view, never a number."""
  begins = (a - b for a, b in zip(box.start, outer.start, strict=True))
  return (..., *(slice(i, i + n) for i, n in zip(begins, box.shape, strict=True)))


def merged(found: Iterable[Box]) -> tuple[Box, ...]:
  """Joins boxes, no two of which overlap, that touch each other and make a box together."""
  joined = sorted(found)
  for axis in range(len(joined[0].start) if joined else 0):

    def beside(box, axis=axis):  # alike but for this axis
      others = (a for i, a in enumerate(zip(box.start, box.shape, strict=True)) if i != axis)
      return tuple(others), box.start[axis]

    before, joined = sorted(joined, key=beside), []
    for box in before:
      last = joined[-1] if joined else None
      if (
        last
        and beside(last)[0] == beside(box)[0]
        and box.start[axis] == (last.start[axis] + last.shape[axis])
      ):
        joined[-1] = cut(last, axis, 0, last.shape[axis] + box.shape[axis])
      else:
        joined.append(box)
  return tuple(joined)


def cut(box: Box, axis: int, first: int, last: int) -> Box:
  """Returns the places first..last - 1 of a box along one axis."""
  start = (*box.start[:axis], box.start[axis] + first, *box.start[axis + 1 :])
  return Box(start, (*box.shape[:axis], last - first, *box.shape[axis + 1 :]))


def blocks(box: Box, most: int) -> Iterator[Box]:
  """Cuts a box into boxes of at most `most` numbers that follow each other in its memory."""
  if box.size <= max(1, most):
    if box.size:
      yield box
    return
  axis = next(axis for axis, size in enumerate(box.shape) if size > 1)
  count = box.shape[axis]
  some = max(1, most * count // box.size)
  for first in range(0, count, some):
    yield from blocks(cut(box, axis, first, min(first + some, count)), most)
