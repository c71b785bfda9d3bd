"""Log-sum-exp over the rows of a similarity matrix that need not exist.

Every InfoNCE-type loss is a positive term minus log sum_j exp(q_i . k_j / temperature) over some
columns j. This module computes that second term, with the columns whose id equals the row's left
out. Two implementations agree in value and gradient:

  dense   the whole [M, K] matrix at once; quickest while it is small
  tiled   one tile at a time, recomputed in the backward pass; O((M + K) D) memory

Over devices each keeps its own rows, and the columns are all-gathered.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from contrastive_jax import errors, parallel

_MASKED = -1e30  # finite, so that max - max is 0 and never NaN
_DENSE_LIMIT_BYTES = 256 * 2**20  # of one float32 matrix on one device
_PRECISION = jax.lax.Precision.HIGHEST  # TPUs and GPUs would round the operands otherwise


class RowStats(NamedTuple):
  """What one row says about its columns; only `logsumexp` carries a gradient."""

  logsumexp: Float[Array, " M"]
  mean: Float[Array, " M"]  # of the similarities, weighted by their softmax
  top: Float[Array, " M"]  # largest similarity to a column of another group


class _Rows(NamedTuple):
  q: Float[Array, "M D"]
  id: Int[Array, " M"]
  group: Int[Array, " M"]


class _Columns(NamedTuple):
  k: Float[Array, "K D"]
  id: Int[Array, " K"]
  group: Int[Array, " K"]


def row_stats(
  q: Float[Array, "M D"],
  k: Float[Array, "K D"],
  q_id: Int[Array, " M"] | None = None,
  k_id: Int[Array, " K"] | None = None,
  *,
  q_group: Int[Array, " M"] | None = None,
  k_group: Int[Array, " K"] | None = None,
  temperature: float | Float[Array, ""] = 1.0,
  implementation: str = "auto",
  tile: int = 1024,
) -> RowStats:
  """Reduces the rows of s = q @ k.T / temperature without the columns of equal id.

  Args:
    q: rows, float32, sharded as the batch if a mesh is in use.
    k: columns; sharded as the batch (then all-gathered) or replicated (a queue or a bank).
    q_id, k_id: column j is left out of row i where `k_id[j] == q_id[i]`; None leaves none out. At
      least one column must remain in every row.
    q_group, k_group: `top` looks only at columns of another group; None looks at all that remain.
    temperature: divides the similarities.
    implementation: "dense", "tiled", or "auto" (dense while a device's matrix is under 256 MiB).
    tile: rows and columns of a tile.

  Returns:
    `RowStats` of arrays [M], sharded as the rows.

  Raises:
    UserError: `implementation` is unknown.
  """
  rows = _Rows(q / temperature, *_ids(q_id, q_group, q, -1))
  columns = _Columns(k, *_ids(k_id, k_group, k, -2))

  def local(rows, columns):
    return _implementation(implementation, rows, columns, tile)(rows, columns)

  return parallel.over_rows(local, rows, columns)


def _ids(identity, group, like, absent):
  """Fills missing ids with a value that the other side never has."""
  identity = parallel.constant_rows(like, absent) if identity is None else identity
  return identity, identity if group is None else group


def _implementation(name, rows, columns, tile):
  if name == "auto":
    size = 4 * len(rows.q) * len(columns.k)
    name = "dense" if size <= _DENSE_LIMIT_BYTES else "tiled"
  if name == "dense":
    return _dense
  if name == "tiled":
    return functools.partial(_tiled, tile)
  raise errors.UserError(f'loss implementation "{name}" is unknown; use "auto", "dense" or "tiled"')


def _similarities(rows: _Rows, columns: _Columns, k_valid=None):
  """Returns the masked similarities [M, K] and the same with equal groups masked as well."""
  s = jnp.matmul(rows.q, columns.k.T, precision=_PRECISION)
  keep = rows.id[:, None] != columns.id
  if k_valid is not None:
    keep &= k_valid
  s = jnp.where(keep, s, _MASKED)
  return s, jnp.where(rows.group[:, None] != columns.group, s, _MASKED)


def _dense(rows: _Rows, columns: _Columns) -> RowStats:
  s, others = _similarities(rows, columns)
  logsumexp = jax.nn.logsumexp(s, axis=-1)
  weights = jnp.exp(s - logsumexp[:, None])
  mean = jax.lax.stop_gradient(jnp.sum(weights * s, axis=-1))
  return RowStats(logsumexp, mean, jax.lax.stop_gradient(others.max(axis=-1)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _tiled(tile: int, rows: _Rows, columns: _Columns) -> RowStats:
  return _tiled_forward(tile, rows, columns)[0]


def _tiled_forward(tile, rows, columns):
  column_tiles, valid = _split(columns, tile)

  def one_row_tile(rows):
    def one_tile(carry, xs):
      largest, total, weighted, top = carry
      s, others = _similarities(rows, *xs)
      new_largest = jnp.maximum(largest, s.max(axis=-1))
      shrink = jnp.exp(largest - new_largest)
      weights = jnp.exp(s - new_largest[:, None])
      total = total * shrink + weights.sum(axis=-1)
      weighted = weighted * shrink + jnp.sum(weights * s, axis=-1)
      return (new_largest, total, weighted, jnp.maximum(top, others.max(axis=-1))), None

    zero = rows.q[:, 0] * 0  # not `zeros`: it varies over devices as the rows do
    start = (zero + _MASKED, zero, zero, zero + _MASKED)
    (largest, total, weighted, top), _ = jax.lax.scan(one_tile, start, (column_tiles, valid))
    return RowStats(largest + jnp.log(total), weighted / total, top)

  row_tiles, _ = _split(rows, tile)
  stats = jax.lax.map(one_row_tile, row_tiles)
  stats = jax.tree.map(lambda x: x.reshape(-1)[: len(rows.q)], stats)
  return stats, (rows, columns, stats.logsumexp)


def _tiled_backward(tile, residuals, cotangents: RowStats):
  """Recomputes P = exp(s - logsumexp) tile by tile: dq_i = g_i P_ij k_j and dk_j = g_i P_ij q_i."""
  rows, columns, logsumexp = residuals
  column_tiles, valid = _split(columns, tile)
  # A padded row has gradient 0, so it adds nothing to dk.
  row_tiles, _ = _split((rows, logsumexp, cotangents.logsumexp), tile)

  def one_row_tile(dk, xs):
    rows, logsumexp, g = xs

    def one_tile(dq, xs):
      column_tile, valid = xs
      s, _ = _similarities(rows, column_tile, valid)
      p = jnp.exp(s - logsumexp[:, None]) * g[:, None]
      dq += jnp.matmul(p, column_tile.k, precision=_PRECISION)
      return dq, jnp.matmul(p.T, rows.q, precision=_PRECISION)

    dq, dk_here = jax.lax.scan(one_tile, rows.q * 0, (column_tiles, valid))
    return dk + dk_here, dq

  dk, dq = jax.lax.scan(one_row_tile, column_tiles.k * 0, row_tiles)
  d = rows.q.shape[-1]
  return (
    _Rows(dq.reshape(-1, d)[: len(rows.q)], None, None),
    _Columns(dk.reshape(-1, d)[: len(columns.k)], None, None),
  )


_tiled.defvjp(_tiled_forward, _tiled_backward)


def _split(tree, tile):
  """Cuts axis 0 into tiles, padding with zeros; returns [T, tile, ...] and which rows are real."""
  length = len(jax.tree.leaves(tree)[0])
  tile = min(tile, length)
  count = -(-length // tile)

  def cut(x):
    pad = [(0, count * tile - length)] + [(0, 0)] * (x.ndim - 1)
    return jnp.pad(x, pad).reshape(count, tile, *x.shape[1:])

  return jax.tree.map(cut, tree), cut(jnp.ones(length, bool))
