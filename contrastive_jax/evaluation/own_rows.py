"""Features of many examples, of which each process holds its own rows and no process all.

What trains on them or compares with them adds over rows: a gradient, a mean, a vote. So rows stay
with the process that has them; each puts on its devices those of a batch, or of a block, that are
its own, filled up to what the process with the most has. Which process has which row all know, and
on one process the rows are one array as ever.
"""

import functools
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from contrastive_jax import parallel
from contrastive_jax.evaluation import rows as rows_lib
from contrastive_jax.processes import agree

_SHARES = 8  # of the mean number of rows of a process: a multiple of it is put, for few programs

Positions = Int[np.ndarray, " b"] | Int[np.ndarray, "b s"] | range


class Put(NamedTuple):
  """Rows on the devices: `rows` [N, ...] and `columns` [N, ...] in any order, some of them filling.

  `slot` says for each of the positions asked for where it stands on axis 0.
  """

  rows: Float[Array, "N F"] | Float[Array, "N s F"]
  columns: tuple[Array, ...]
  slot: Int[np.ndarray, " b"] | Int[np.ndarray, "b s"]


class OwnRows:
  """n rows [n, F], of which this process holds some."""

  def __init__(self, own: Float[np.ndarray, "m F"], owner: Int[np.ndarray, " n"] | None = None):
    """Takes the rows that are here, in order.

    Args:
      own: the rows.
      owner: the process of each of all n rows; None: all are here, and there is one process.
    """
    self.own, self.owner = own, owner
    self._places = None if owner is None else np.flatnonzero(owner == jax.process_index())

  @classmethod
  def of(cls, x: "Float[np.ndarray, 'n F'] | OwnRows") -> "OwnRows":
    """Returns rows as they are, and of an array that every process holds whole a part of each."""
    if isinstance(x, cls):
      return x
    x = np.asarray(x)
    if jax.process_count() == 1:
      return cls(x)
    owner = np.arange(len(x)) * jax.process_count() // max(1, len(x))
    return cls(x[owner == jax.process_index()], owner)

  def __len__(self) -> int:
    return len(self.own if self.owner is None else self.owner)

  @property
  def shape(self) -> tuple[int, int]:
    return len(self), self.own.shape[1]

  @property
  def places(self) -> Int[np.ndarray, " m"] | None:
    """The rows of all n that are here, or None if all are."""
    return self._places

  def not_finite(self, most: int) -> tuple[list[int], int]:
    """Returns the first `most` rows that float32 cannot hold, and how many there are in all."""
    bad = rows_lib.not_finite(self.own)
    if self.owner is None:
      return bad[:most].tolist(), len(bad)
    mine = json.dumps([self._places[bad[:most]].tolist(), len(bad)])
    said = [json.loads(text) for text in agree.texts(mine)]
    return sorted(place for first, _ in said for place in first)[:most], sum(n for _, n in said)

  def whole(self) -> Float[np.ndarray, "n F"]:
    """Returns all rows on every process; every process must call."""
    return self.own if self.owner is None else self.take(np.arange(len(self)))

  def take(self, positions: Int[np.ndarray, " b"]) -> Float[np.ndarray, "b F"]:
    """Returns a few rows on every process; every process must call."""
    if self.owner is None:
      return self.own[positions]
    slot, most = _slots(self.owner[positions], jax.process_count())
    part = self._part(positions, slot, most, lambda x: x)
    parts = multihost_utils.process_allgather(np.ascontiguousarray(part).view(np.uint8))
    return np.reshape(parts, (-1, parts.shape[-1])).view(self.own.dtype)[slot]

  def pieces(self, positions: Int[np.ndarray, " b"] | None = None) -> Iterator[np.ndarray]:
    """Returns this process's rows, in order, some thousand at a time; of `positions` only those."""
    if positions is None:
      for start in range(0, len(self.own), rows_lib.PIECE):
        yield self.own[start : start + rows_lib.PIECE]
      return
    if self.owner is not None:
      positions = positions[self.owner[positions] == jax.process_index()]
    for start in range(0, len(positions), rows_lib.PIECE):
      yield self.own[self._number(positions[start : start + rows_lib.PIECE])]

  def put(
    self,
    positions: Positions,
    mesh: Mesh,
    columns: tuple[tuple[np.ndarray, Any], ...] = (),
    prepare: Callable[[np.ndarray], np.ndarray] = lambda x: x,
    multiple: int = 1,
    at_least: int = 0,
  ) -> Put:
    """Puts rows on the devices, sharded on axis 0, each from the process that has it.

    Args:
      positions: which; of [b, s] the s stay the second axis.
      mesh: of all processes.
      columns: pairs of an array of all n examples, which every process holds, and what stands for
        it where a row is filling.
      prepare: of some rows, what is put in their place.
      multiple: each device has a multiple of so many rows,
      at_least: and so many at least.
    """
    devices = mesh.size // jax.process_count()  # of a process
    unit, at_least = devices * multiple, devices * at_least
    if self.owner is None:
      most = max(at_least, -(-len(positions) // unit) * unit)
      return self._put_all(positions, mesh, columns, prepare, most)
    at = np.asarray(positions)
    slot, most = _slots(self.owner[at], jax.process_count())
    share = max(1, -(-len(at) // (_SHARES * jax.process_count())))
    most = -(-most // share) * share
    most = max(at_least, -(-most // unit) * unit)
    slot, most = _slots(self.owner[at], jax.process_count(), most)
    part = self._part(positions, slot, most, prepare)
    first = jax.process_index() * most
    others = []
    for column, filling in columns:
      every = np.full((most * jax.process_count(), *at.shape[1:]), filling, column.dtype)
      _write(every, slot, column[at])
      others.append(every[first : first + most])
    return Put(parallel.put(part, mesh), tuple(parallel.put(tuple(others), mesh)), slot)

  def _put_all(self, positions, mesh, columns, prepare, most) -> Put:
    at = positions
    if isinstance(at, range):  # a view
      at = slice(at.start, at.stop)
    count = len(positions)
    missing = most - count

    def filled(x, filling):
      return (
        np.pad(x, [(0, missing)] + [(0, 0)] * (x.ndim - 1), constant_values=filling)
        if missing
        else x
      )

    rows = filled(prepare(self.own[at]), 0)
    others = tuple(filled(column[at], filling) for column, filling in columns)
    slot = np.arange(count)
    if np.ndim(positions) > 1:
      slot = np.broadcast_to(slot[:, None], np.shape(positions))
    return Put(parallel.put(rows, mesh), parallel.put(others, mesh), slot)

  def _part(self, positions, slot, most, prepare):
    """Returns this process's rows of the positions [b, ...], filled up: [most, ..., F]."""
    if isinstance(positions, range):
      first, last = np.searchsorted(self._places, (positions.start, positions.stop))
      rows = prepare(self.own[first:last])
      missing = most - len(rows)
      return np.pad(rows, ((0, missing), (0, 0))) if missing else rows  # a view
    here = self.owner[positions] == jax.process_index()
    rows = prepare(self.own[self._number(positions[here])])
    part = np.zeros((most, *positions.shape[1:], rows.shape[1]), rows.dtype)
    local = slot[here] - jax.process_index() * most
    part[(local, *np.nonzero(here)[1:])] = rows
    return part

  def _number(self, positions):
    """Returns where rows that are here stand in `own`."""
    return positions if self._places is None else np.searchsorted(self._places, positions)


def _write(every: np.ndarray, slot: np.ndarray, values: np.ndarray) -> None:
  every[(slot, *np.indices(slot.shape)[1:])] = values


def _slots(owner: Int[np.ndarray, "b ..."], processes: int, most: int | None = None):
  """Returns where each row stands, and how many rows a process has.

  Process p has the slots from p times `most` on, and its rows stand there in their order. `most` is
  the smallest that will do if it is not given.
  """
  order = np.argsort(owner, axis=0, kind="stable")
  found = np.take_along_axis(owner, order, axis=0)
  row = np.broadcast_to(np.arange(len(owner)).reshape(-1, *[1] * (owner.ndim - 1)), owner.shape)
  first = np.ones(owner.shape, bool)
  first[1:] = found[1:] != found[:-1]
  rank = row - np.maximum.accumulate(np.where(first, row, 0), axis=0)
  most = int(rank.max(initial=0)) + 1 if most is None else most
  slot = np.empty(owner.shape, np.int64)
  np.put_along_axis(slot, order, found * most + rank, axis=0)
  return slot, most


def moments(
  x: OwnRows, positions: Int[np.ndarray, " b"] | None = None
) -> tuple[Float[np.ndarray, " F"], Float[np.ndarray, " F"]]:
  """Returns mean and standard deviation of each column in float64, of `positions` or of all rows.

  On one process they are NumPy's bit for bit. `np.std` makes a copy of all rows in float64. Here a
  piece is one, and the sum so far is added to its first row: sums over rows go from the first to
  the last.
  """
  count = len(x) if positions is None else len(positions)
  mean = _sum(x, positions, lambda piece: piece.astype(np.float64)) / count
  squares = functools.partial(_squares, mean)
  return mean, np.sqrt(_sum(x, positions, squares) / count)


def mean(x: OwnRows) -> Float[np.ndarray, " F"]:
  """Returns the mean of each column in float64."""
  return _sum(x, None, lambda piece: piece.astype(np.float64)) / len(x)


def _squares(mean, piece):
  piece = piece - mean
  piece *= piece
  return piece


def _sum(x, positions, of):
  """Returns the sum over all rows of what `of` makes of a piece."""
  total = None
  for piece in x.pieces(positions):
    values = of(piece)
    if total is not None:
      values[0] += total
    total = values.sum(axis=0)
  total = np.zeros(x.shape[1]) if total is None else total
  return total if x.owner is None else agree.sums(total)
