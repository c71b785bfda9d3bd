"""Log-sum-exp over the rows of a similarity matrix that need not exist.

Every InfoNCE-type loss is a positive term minus log sum_j exp(q_i . k_j / temperature) over some
columns j. This module computes that second term, with the columns whose id equals the row's left
out. Three implementations agree in value and gradient:

  dense   the whole [M, K] matrix at once; quickest while it is small
  tiled   one tile at a time, recomputed in the backward pass; O((M + K) D) memory
  ring    tiled, and no device ever holds more columns than its own share: blocks of them travel
          from device to device, in the backward pass together with their gradient

Over devices each keeps its own rows; except in a ring, the columns are all-gathered.

Products are float32 in full. An implementation followed by ":bfloat16" rounds the factors of every
product to bfloat16 and adds in float32, which matrix units do several times as quickly.
"""

import functools
import logging
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from contrastive_jax import errors, parallel

IMPLEMENTATIONS = ("auto", "dense", "tiled", "ring")
PRODUCTS = ("float32", "bfloat16")
# The line of a method's option that chooses among them.
OPTION = (
  "similarities: auto (by size), dense, tiled or ring; :bfloat16 behind it is quicker, rougher"
)

_MASKED = -1e30  # finite, so that max - max is 0 and never NaN
_DENSE_LIMIT_BYTES = 256 * 2**20  # of one float32 matrix on one device
_GATHER_LIMIT_BYTES = 64 * 2**20  # of all columns on one device, before they travel in a ring
_PRECISION = jax.lax.Precision.HIGHEST  # TPUs and GPUs would round the operands otherwise


class RowStats(NamedTuple):
  """What one row says about its columns; only `logsumexp` carries a gradient."""

  logsumexp: Float[Array, " M"]
  mean: Float[Array, " M"]  # of the similarities, weighted by their softmax
  top: Float[Array, " M"]  # largest similarity to a column of another group


class _Form(NamedTuple):
  """How the matrix is gone through, fixed while a program is traced."""

  tile: int
  hops: int  # devices whose columns come by
  products: str  # type of the factors


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
    implementation: "dense", "tiled", "ring", or "auto" (see `choose`); may end in ":bfloat16".
    tile: rows and columns of a tile.

  Returns:
    `RowStats` of arrays [M], sharded as the rows.

  Raises:
    UserError: `implementation` is unknown.
  """
  rows = _Rows(q / temperature, *_ids(q_id, q_group, q, -1))
  columns = _Columns(k, *_ids(k_id, k_group, k, -2))

  check("loss implementation", implementation)
  implementation, _, products = implementation.partition(":")
  if implementation == "auto":
    implementation = choose(len(q), k.shape, sharded=parallel.is_sharded(k))
    _tell(implementation, len(q), len(k), parallel.num_devices())
  form = _Form(tile, 1, products or "float32")
  if implementation == "dense":
    return parallel.over_rows(functools.partial(_dense, form), rows, columns)
  if implementation == "tiled":
    return parallel.over_rows(functools.partial(_tiled, form), rows, columns)
  if parallel.is_sharded(k):  # a queue is everywhere already
    form = form._replace(hops=parallel.num_devices())
  over = parallel.over_own_rows if form.hops > 1 else parallel.over_rows
  return over(functools.partial(_tiled, form), rows, columns)


def check(option: str, implementation: str) -> None:
  """Raises `UserError`, which names `option`, unless `row_stats` knows the implementation."""
  form, _, products = implementation.partition(":")
  if form not in IMPLEMENTATIONS:
    raise errors.UserError(f'{option} "{form}" is unknown; use {", ".join(IMPLEMENTATIONS)}')
  if products not in ("", *PRODUCTS):
    raise errors.UserError(
      f'{option}: products of type "{products}" are unknown; use {form}:bfloat16, or no type'
    )


def choose(num_rows: int, columns: tuple[int, int], *, sharded: bool = True) -> str:
  """Returns what "auto" takes for `num_rows` global rows against [K, D] columns on this mesh.

  "dense" while a device's matrix is small, else "ring" if the gathered columns would be large, else
  "tiled", which needs no more time and waits once for the columns, not at every hop.
  """
  devices = parallel.num_devices()
  if 4 * num_rows // devices * columns[0] <= _DENSE_LIMIT_BYTES:
    return "dense"
  gathered = 4 * columns[0] * columns[1] if sharded and devices > 1 else 0
  return "ring" if gathered > _GATHER_LIMIT_BYTES else "tiled"


@functools.cache  # a step asks several times for the same
def _tell(implementation: str, rows: int, columns: int, devices: int) -> None:
  logging.getLogger(__name__).info(
    "contrast of %s rows with %s columns on %d device(s): %s",
    *(f"{rows:,}", f"{columns:,}", devices, implementation),
  )


def _ids(identity, group, like, absent):
  """Fills missing ids with a value that the other side never has."""
  identity = parallel.constant_rows(like, absent) if identity is None else identity
  return identity, identity if group is None else group


def _product(form: _Form, a, b):
  """Returns a @ b in float32."""
  a, b = a.astype(form.products), b.astype(form.products)
  return jnp.matmul(a, b, precision=_PRECISION, preferred_element_type=jnp.float32)


def _similarities(form: _Form, rows: _Rows, columns: _Columns, k_valid=None):
  """Returns the masked similarities [M, K] and the same with equal groups masked as well."""
  s = _product(form, rows.q, columns.k.T)
  keep = rows.id[:, None] != columns.id
  if k_valid is not None:
    keep &= k_valid
  s = jnp.where(keep, s, _MASKED)
  return s, jnp.where(rows.group[:, None] != columns.group, s, _MASKED)


def _dense(form: _Form, rows: _Rows, columns: _Columns) -> RowStats:
  s, others = _similarities(form, rows, columns)
  logsumexp = jax.nn.logsumexp(s, axis=-1)
  weights = jnp.exp(s - logsumexp[:, None])
  mean = jax.lax.stop_gradient(jnp.sum(weights * s, axis=-1))
  return RowStats(logsumexp, mean, jax.lax.stop_gradient(others.max(axis=-1)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _tiled(form: _Form, rows: _Rows, columns: _Columns) -> RowStats:
  """Goes over the columns that are here and, `hops` times less one, over the next device's."""
  return _tiled_forward(form, rows, columns)[0]


def _tiled_forward(form, rows, columns):
  zero = rows.q[:, 0] * 0  # not `zeros`: it varies over devices as the rows do
  start = (zero + _MASKED, zero, zero, zero + _MASKED)
  running = _visit(
    form.hops, columns, start, lambda running, here: _add_columns(form, rows, here, running)
  )
  largest, total, weighted, top = running
  stats = RowStats(largest + jnp.log(total), weighted / total, top)
  return stats, (rows, columns, stats.logsumexp)


def _tiled_backward(form, residuals, cotangents: RowStats):
  """Recomputes P = exp(s - logsumexp) tile by tile: dq_i = g_i P_ij k_j and dk_j = g_i P_ij q_i."""
  rows, columns, logsumexp = residuals

  def add(dq, here):
    columns, dk = here
    dq_here, dk_here = _gradients(form, rows, logsumexp, cotangents.logsumexp, columns)
    return dq + dq_here, (columns, dk + dk_here)

  # The gradient of a block of columns travels with it and is whole when it comes home.
  dq, here = rows.q * 0, (columns, columns.k * 0)
  if form.hops == 1:
    dq, (_, dk) = add(dq, here)
  else:

    def hop(carry, _):
      dq, here = add(*carry)
      return (dq, parallel.pass_on(here)), None

    (dq, (_, dk)), _ = jax.lax.scan(hop, (dq, here), length=form.hops)
  return _Rows(dq, None, None), _Columns(dk, None, None)


_tiled.defvjp(_tiled_forward, _tiled_backward)


def _visit(hops, columns, running, add):
  """Returns `running` after `add(running, block)` for each block of columns of the ring."""
  if hops == 1:
    return add(running, columns)

  def hop(carry, _):
    running, here = carry
    coming = parallel.pass_on(here)  # can travel while the block that is here is used
    return (add(running, here), coming), None

  (running, _), _ = jax.lax.scan(hop, (running, columns), length=hops)
  return running


def _add_columns(form, rows, columns, running):
  """Takes more columns into the running (largest, total, weighted sum, top) of every row."""
  column_tiles, valid = _split(columns, form.tile)

  def one_row_tile(xs):
    rows, running = xs

    def one_tile(carry, xs):
      largest, total, weighted, top = carry
      s, others = _similarities(form, rows, *xs)
      new_largest = jnp.maximum(largest, s.max(axis=-1))
      shrink = jnp.exp(largest - new_largest)
      weights = jnp.exp(s - new_largest[:, None])
      total = total * shrink + weights.sum(axis=-1)
      weighted = weighted * shrink + jnp.sum(weights * s, axis=-1)
      return (new_largest, total, weighted, jnp.maximum(top, others.max(axis=-1))), None

    return jax.lax.scan(one_tile, running, (column_tiles, valid))[0]

  row_tiles, _ = _split((rows, running), form.tile)
  running = jax.lax.map(one_row_tile, row_tiles)
  return jax.tree.map(lambda x: x.reshape(-1)[: len(rows.q)], running)


def _gradients(form, rows, logsumexp, g, columns):
  """Returns dq [M, D] and dk [K, D] of sum_i g_i logsumexp_i through these columns."""
  column_tiles, valid = _split(columns, form.tile)
  row_tiles, _ = _split(
    (rows, logsumexp, g), form.tile
  )  # a padded row has g = 0: it adds nothing to dk

  def one_row_tile(dk, xs):
    rows, logsumexp, g = xs

    def one_tile(dq, xs):
      column_tile, valid = xs
      s, _ = _similarities(form, rows, column_tile, valid)
      p = jnp.exp(s - logsumexp[:, None]) * g[:, None]
      dq += _product(form, p, column_tile.k)
      return dq, _product(form, p.T, rows.q)

    dq, dk_here = jax.lax.scan(one_tile, rows.q * 0, (column_tiles, valid))
    return dk + dk_here, dq

  dk, dq = jax.lax.scan(one_row_tile, column_tiles.k * 0, row_tiles)
  d = rows.q.shape[-1]
  return dq.reshape(-1, d)[: len(rows.q)], dk.reshape(-1, d)[: len(columns.k)]


def _split(tree, tile):
  """Cuts axis 0 into tiles, padding with zeros; returns [T, tile, ...] and which rows are real."""
  length = len(jax.tree.leaves(tree)[0])
  tile = min(tile, length)
  count = -(-length // tile)

  def cut(x):
    pad = [(0, count * tile - length)] + [(0, 0)] * (x.ndim - 1)
    return jnp.pad(x, pad).reshape(count, tile, *x.shape[1:])

  return jax.tree.map(cut, tree), cut(jnp.ones(length, bool))
