"""The rows of a similarity matrix reduced: the whole matrix at once, or one tile at a time.

`similarity.row_stats` is how to ask for it. `visit`, `add_columns` and `gradients` are the ways
through the tiles, which `sigmoid` goes as well.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from contrastive_jax import parallel

MASKED = -1e30  # finite, so that max - max is 0 and never NaN
_PRECISION = jax.lax.Precision.HIGHEST  # TPUs and GPUs would round the operands otherwise


class RowStats(NamedTuple):
  """What one row says about its columns; only `logsumexp` carries a gradient."""

  logsumexp: Float[Array, " M"]
  mean: Float[Array, " M"]  # of the similarities, weighted by their softmax
  top: Float[Array, " M"]  # largest similarity to a column of another group


class Form(NamedTuple):
  """How the matrix is gone through, fixed while a program is traced."""

  tile: int
  hops: int  # devices whose columns come by
  products: str  # type of the factors


class Rows(NamedTuple):
  q: Float[Array, "M D"]
  id: Int[Array, " M"]
  group: Int[Array, " M"]


class Columns(NamedTuple):
  k: Float[Array, "K D"]
  id: Int[Array, " K"]
  group: Int[Array, " K"]


def product(form: Form, a, b):
  """Returns a @ b in float32."""
  a, b = a.astype(form.products), b.astype(form.products)
  return jnp.matmul(a, b, precision=_PRECISION, preferred_element_type=jnp.float32)


def similarities(form: Form, rows: Rows, columns: Columns, k_valid=None):
  """Returns the masked similarities [M, K] and the same with equal groups masked as well."""
  s = product(form, rows.q, columns.k.T)
  keep = rows.id[:, None] != columns.id
  if k_valid is not None:
    keep &= k_valid
  s = jnp.where(keep, s, MASKED)
  return s, jnp.where(rows.group[:, None] != columns.group, s, MASKED)


def dense(form: Form, rows: Rows, columns: Columns) -> RowStats:
  """Goes over the whole matrix at once."""
  s, others = similarities(form, rows, columns)
  logsumexp = jax.nn.logsumexp(s, axis=-1)
  weights = jnp.exp(s - logsumexp[:, None])
  mean = jax.lax.stop_gradient(jnp.sum(weights * s, axis=-1))
  return RowStats(logsumexp, mean, jax.lax.stop_gradient(others.max(axis=-1)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def tiled(form: Form, rows: Rows, columns: Columns) -> RowStats:
  """Goes over the columns that are here and, `hops` times less one, over the next device's."""
  return _forward(form, rows, columns)[0]


def _forward(form, rows, columns):
  def add(running, here):
    return add_columns(form, rows, here, running, functools.partial(take, axis=1))

  stats = finish(visit(form.hops, columns, nothing(rows.q), add))
  return stats, (rows, columns, stats.logsumexp)


def _backward(form, residuals, cotangents: RowStats):
  """Recomputes P = exp(s - logsumexp) tile by tile, the weight of k_j in the gradient of q_i."""
  rows, columns, logsumexp = residuals

  def softmax(s, logsumexp):
    return jnp.exp(s - logsumexp[:, None])

  return gradients(form, rows, columns, cotangents.logsumexp, softmax, logsumexp)


tiled.defvjp(_forward, _backward)


class Running(NamedTuple):
  """What rows have gathered from the columns they have seen."""

  largest: Float[Array, " M"]
  total: Float[Array, " M"]  # of exp(s - largest)
  weighted: Float[Array, " M"]  # the same, times s
  top: Float[Array, " M"]


def nothing(q: Float[Array, "M D"]) -> Running:
  """Returns what rows have gathered that have seen no column."""
  zero = q[:, 0] * 0  # not `zeros`: it varies over devices as the rows do
  return Running(zero + MASKED, zero, zero, zero + MASKED)


def take(running: Running, s, others, axis: int) -> Running:
  """Takes similarities, whose columns are on `axis`, into what their rows have gathered."""
  largest = jnp.maximum(running.largest, s.max(axis))
  weights = jnp.exp(s - jnp.expand_dims(largest, axis))
  new = Running(largest, weights.sum(axis), jnp.sum(weights * s, axis), others.max(axis))
  return join(running, new)


def join(a: Running, b: Running) -> Running:
  """Returns what rows have gathered that have seen the columns of both."""
  largest = jnp.maximum(a.largest, b.largest)
  shrink_a, shrink_b = jnp.exp(a.largest - largest), jnp.exp(b.largest - largest)
  total = a.total * shrink_a + b.total * shrink_b
  weighted = a.weighted * shrink_a + b.weighted * shrink_b
  return Running(largest, total, weighted, jnp.maximum(a.top, b.top))


def finish(running: Running) -> RowStats:
  largest, total, weighted, top = running
  return RowStats(largest + jnp.log(total), weighted / total, top)


def visit(hops, columns, running, add):
  """Returns `running` after `add(running, block)` for each block of columns of the ring."""

  def hop(carry, _):
    running, here = carry
    coming = parallel.pass_on(here)  # can travel while the block that is here is used
    return (add(running, here), coming), None

  if hops > 1:
    (running, columns), _ = jax.lax.scan(hop, (running, columns), length=hops - 1)
  return add(running, columns)


def add_columns(
  form: Form, rows: Rows, columns: Columns, running: Any, take: Callable[..., Any], *own: Array
) -> Any:
  """Takes more columns into what the rows have gathered.

  Args:
    running: tree of arrays [M, ...].
    take: (running, similarities, those to other groups, *own) of a tile -> running.
    own: arrays [M], a row's own.
  """
  column_tiles, valid = split(columns, form.tile)

  def one_row_tile(xs):
    rows, running, own = xs

    def one_tile(running, xs):
      return take(running, *similarities(form, rows, *xs), *own), None

    return jax.lax.scan(one_tile, running, (column_tiles, valid))[0]

  row_tiles, _ = split((rows, running, own), form.tile)
  running = jax.lax.map(one_row_tile, row_tiles)
  return whole(running, len(rows.q))


def gradients(
  form: Form,
  rows: Rows,
  columns: Columns,
  g: Float[Array, " M"],
  weight: Callable[..., Array],
  own: Float[Array, " M"],
) -> tuple[Rows, Columns]:
  """Returns those of sum_ij g_i f_i(s_ij) with f' = w: dq_i = g_i w_ij k_j and dk_j = g_i w_ij q_i.

  Args:
    g: cotangents of the rows.
    weight: (similarities of a tile, `own` of its rows) -> w.
    own: a row's own.
  """

  def add(dq, here):
    columns, dk = here
    dq, dk = _add_gradients(form, rows, columns, g, weight, own, dq, dk)
    return dq, (columns, dk)

  def hop(carry, _):
    dq, here = add(*carry)
    return (dq, parallel.pass_on(here)), None

  # The gradient of a block of columns travels with it and is whole when it comes home.
  carry = rows.q * 0, (columns, columns.k * 0)
  if form.hops > 1:
    carry, _ = jax.lax.scan(hop, carry, length=form.hops - 1)
  dq, (_, dk) = add(*carry)
  if form.hops > 1:
    dk = parallel.pass_on(dk)
  return Rows(dq, None, None), Columns(dk, None, None)


def _add_gradients(form, rows, columns, g, weight, own, dq, dk):
  """Adds to dq [M, D] and dk [K, D] what goes through these columns."""
  (column_tiles, dk_tiles), valid = split((columns, dk), form.tile)
  # A padded row has g = 0: it adds nothing to dk.
  (row_tiles, dq_tiles), _ = split(((rows, g, own), dq), form.tile)

  def one_row_tile(gradients, xs):
    i, (rows, g, own) = xs

    def one_tile(gradients, xs):
      (dq, dk), (j, column_tile, valid) = gradients, xs
      s, _ = similarities(form, rows, column_tile, valid)
      w = weight(s, own) * g[:, None]
      dq += product(form, w, column_tile.k)
      return (dq, dk.at[j].add(product(form, w.T, rows.q))), None

    dq, dk = gradients
    (dq_tile, dk), _ = jax.lax.scan(one_tile, (dq[i], dk), _numbered(column_tiles, valid))
    return (dq.at[i].set(dq_tile), dk), None

  (dq, dk), _ = jax.lax.scan(one_row_tile, (dq_tiles, dk_tiles), _numbered(row_tiles))
  return whole(dq, len(rows.q)), whole(dk, len(columns.k))


def _numbered(*trees):
  return jnp.arange(len(jax.tree.leaves(trees)[0])), *trees


def split(tree, tile):
  """Cuts axis 0 into tiles, padding with zeros; returns [T, tile, ...] and which rows are real."""
  length = len(jax.tree.leaves(tree)[0])
  tile = min(tile, length)
  count = -(-length // tile)

  def cut(x):
    pad = [(0, count * tile - length)] + [(0, 0)] * (x.ndim - 1)
    return jnp.pad(x, pad).reshape(count, tile, *x.shape[1:])

  return jax.tree.map(cut, tree), cut(jnp.ones(length, bool))


def whole(tree, length):
  """Undoes `split`: [T, tile, ...] -> [length, ...]."""
  return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:length], tree)
