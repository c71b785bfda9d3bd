"""The sum of softplus over the rows of a similarity matrix that need not exist.

Under the loss of pairs that are judged one by one (Zhai et al., 2023) no row has a normaliser: what
is gathered of its columns is a plain sum. The forms are those of `similarity`, and the way through
tiles and round the ring is that of `tiles`.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from contrastive_jax.losses import similarity, tiles


class RowSums(NamedTuple):
  """What one row says about its columns; only `total` carries a gradient."""

  total: Float[Array, " M"]  # of softplus
  top: Float[Array, " M"]  # largest logit


def row_sums(
  q: Float[Array, "M D"],
  k: Float[Array, "K D"],
  scale: Float[Array, ""],
  bias: Float[Array, ""],
  q_id: Int[Array, " M"],
  k_id: Int[Array, " K"],
  *,
  implementation: str = "auto",
  tile: int | None = None,
) -> RowSums:
  """Sums softplus(scale q_i . k_j + bias) over the columns j whose id is not that of the row i.

  A row without any such column has a sum of 0.

  Args:
    q: rows, float32, sharded as the batch if a mesh is in use.
    k: columns, sharded as the batch.
    scale, bias: numbers that may be learnt.
    q_id, k_id: column j is left out of row i where `k_id[j] == q_id[i]`.
    implementation, tile: see `similarity.row_stats`.
  """
  way = similarity.plan(q, k, implementation, tile)
  rows = tiles.Rows(q * scale, *similarity.ids(q_id, None, q, -1))
  columns = tiles.Columns(k, *similarity.ids(k_id, None, k, -2))
  biases = q[:, 0] * 0 + bias  # sharded as the rows are
  reduce = functools.partial(_dense if way.dense else _tiled, way.form)
  return way.over(lambda rows, columns: reduce(*rows, columns), (rows, biases), columns)


def _dense(form, rows, biases, columns):
  s, _ = tiles.similarities(form, rows, columns)
  s += biases[:, None]
  return RowSums(jnp.sum(jax.nn.softplus(s), axis=1), jax.lax.stop_gradient(s.max(axis=1)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _tiled(form, rows, biases, columns):
  return _forward(form, rows, biases, columns)[0]


def _forward(form, rows, biases, columns):
  def take(running, s, _, biases):
    (total, top), sigmoids = running
    s += biases[:, None]
    total += jnp.sum(jax.nn.softplus(s), axis=1)
    sigmoids += jnp.sum(jax.nn.sigmoid(s), axis=1)
    return RowSums(total, jnp.maximum(top, s.max(axis=1))), sigmoids

  def add(running, here):
    return tiles.add_columns(form, rows, here, running, take, biases)

  zero = rows.q[:, 0] * 0  # not `zeros`: it varies over devices as the rows do
  nothing = RowSums(zero, zero + tiles.MASKED), zero
  sums, sigmoids = tiles.visit(form.hops, columns, nothing, add)
  return sums, (rows, biases, columns, sigmoids)


def _backward(form, residuals, cotangents: RowSums):
  rows, biases, columns, sigmoids = residuals

  def derivative(s, biases):
    return jax.nn.sigmoid(s + biases[:, None])

  g = cotangents.total
  d_rows, d_columns = tiles.gradients(form, rows, columns, g, derivative, biases)
  return d_rows, g * sigmoids, d_columns


_tiled.defvjp(_forward, _backward)
