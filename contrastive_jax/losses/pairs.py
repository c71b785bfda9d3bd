"""Row statistics of rows that are their own columns, from half of the matrix.

NT-Xent, SupCon and DCL compare a batch with itself: the matrix is symmetric, and a tile serves its
columns as well as its rows. On CPU value and gradient take 0.68 (8,192 rows of 128) and 0.71
(16,384 rows) of the time of `tiles.tiled`, and two thirds of its memory; in a ring of 8 devices
0.59 and 0.56 (16,384 and 32,768 rows) of the time.

In a ring the rows of the other devices come by, each with what it has gathered so far. They go home
after half a round: those whom they did not visit have visited them.

`similarity.row_stats` is how to ask for it.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from contrastive_jax import parallel
from contrastive_jax.losses import tiles


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def pairwise(form: tiles.Form, rows: tiles.Rows) -> tiles.RowStats:
  """Reduces these rows' similarities to each other and to the rows of the other devices."""
  return _forward(form, rows)[0]


def _forward(form, rows):
  def compare(a, b, mask):
    return tiles.similarities(form, a, tiles.Columns(*b), mask)

  def gather(running, similarities, _, axis):
    return tiles.take(running, *similarities, axis)

  stats = tiles.finish(_meet(form, rows, tiles.nothing(rows.q), compare, gather, tiles.join))
  return stats, (rows, stats.logsumexp)


def _backward(form, residuals, cotangents: tiles.RowStats):
  """With W_ij = g_i P_ij + g_j P_ji, which is symmetric: dq_i = W_ij q_j and dq_j = W_ij q_i."""
  rows, logsumexp = residuals

  def compare(a, b, mask):
    (rows, logsumexp, g), (columns, column_logsumexp, column_g) = a, b
    s, _ = tiles.similarities(form, rows, tiles.Columns(*columns), mask)
    ours = jnp.exp(s - logsumexp[:, None]) * g[:, None]
    return ours + jnp.exp(s - column_logsumexp) * column_g

  def gather(dq, w, others, axis):
    return dq + tiles.product(form, w if axis == 1 else w.T, others[0].q)

  data = rows, logsumexp, cotangents.logsumexp
  dq = _meet(form, data, rows.q * 0, compare, gather, jnp.add)
  return (tiles.Rows(dq, None, None),)


pairwise.defvjp(_forward, _backward)


def _meet(form: tiles.Form, data, nothing, compare, gather, join):
  """Returns what every row gathers from all rows of the ring.

  Args:
    form: the size of a tile, and how many devices are in the ring.
    data: tree of arrays [M, ...], a row's own.
    nothing: tree of arrays [M, ...], what a row has gathered at first.
    compare: (data of a tile's rows, of its columns, mask [rows, columns]) -> a tile.
    gather: (gathered, tile, data of the others, their axis in the tile) -> gathered.
    join: (gathered, gathered) -> gathered, where the same rows have met different ones.
  """
  length = len(jax.tree.leaves(data)[0])
  (data, nothing), valid = tiles.split((data, nothing), form.tile)
  home = _Home(data, valid, compare, gather)
  gathered = home.meet_each_other(nothing)
  if form.hops > 1:
    gathered = _meet_other_devices(form.hops, home, gathered, nothing, join)
  return tiles.whole(gathered, length)


def _meet_other_devices(hops, home, gathered, nothing, join):
  def hop(carry, _):
    gathered, guests, theirs = carry
    coming = parallel.pass_on(guests)  # can travel while those that are here are used
    gathered, theirs = home.meet(guests, gathered, theirs)
    return (gathered, coming, parallel.pass_on(theirs)), None

  guests = parallel.pass_on(home.data)
  # Of two devices opposite each other in the ring, if there are, each receives the other.
  nearer, opposite = divmod(hops - 1, 2)
  if nearer:
    carry, _ = jax.lax.scan(hop, (gathered, guests, nothing), length=nearer)
    gathered, guests, theirs = carry
    gathered = join(gathered, parallel.pass_on(theirs, -nearer - 1))
  return home.see(guests, gathered) if opposite else gathered


class _Home(NamedTuple):
  """The rows of this device, cut into tiles, and what happens where they meet others."""

  data: Any
  valid: Array
  compare: Callable[..., Any]
  gather: Callable[..., Any]

  def meet_each_other(self, gathered):
    """Returns what the rows have `gathered` when each has met all of this device."""
    diagonal, above, _ = _places(len(self.valid))

    def pair(gathered, ij):
      i, j = ij
      tile = self._compared(i, self.data, j)
      gathered = self._add(gathered, i, tile, _at(self.data, j), axis=1)
      return self._add(gathered, j, tile, _at(self.data, i), axis=0), None

    gathered = self.see(self.data, gathered, diagonal)
    return jax.lax.scan(pair, gathered, above)[0]

  def see(self, guests, gathered, places=None):
    """Returns what the rows have `gathered` when they have met the guests, who get nothing."""

    def pair(gathered, ij):
      i, j = ij
      tile = self._compared(i, guests, j)
      return self._add(gathered, i, tile, _at(guests, j), axis=1), None

    places = _places(len(self.valid))[2] if places is None else places
    return jax.lax.scan(pair, gathered, places)[0]

  def meet(self, guests, gathered, theirs):
    """Returns what the rows and the guests have gathered when all of both have met."""

    def pair(both, ij):
      (gathered, theirs), (i, j) = both, ij
      tile = self._compared(i, guests, j)
      gathered = self._add(gathered, i, tile, _at(guests, j), axis=1)
      return (gathered, self._add(theirs, j, tile, _at(self.data, i), axis=0)), None

    return jax.lax.scan(pair, (gathered, theirs), _places(len(self.valid))[2])[0]

  def _compared(self, i, others, j):
    mask = self.valid[i][:, None] & self.valid[j]
    return self.compare(_at(self.data, i), _at(others, j), mask)

  def _add(self, gathered, i, tile, others, axis):
    new = self.gather(_at(gathered, i), tile, others, axis)
    return jax.tree.map(lambda x, new: x.at[i].set(new), gathered, new)


def _places(count):
  """Returns the numbers (i, j) of a matrix's tiles: on its diagonal, above it, and all."""
  numbers = np.indices((count, count), np.int32).reshape(2, -1).T
  i, j = numbers.T
  return numbers[i == j], numbers[i < j], numbers


def _at(tree, i):
  return jax.tree.map(lambda x: x[i], tree)
