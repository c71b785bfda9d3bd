"""Log-sum-exp over the rows of a similarity matrix that need not exist.

Every InfoNCE-type loss is a positive term minus log sum_j exp(q_i . k_j / temperature) over some
columns j. This module computes that second term, with the columns whose id equals the row's left
out. Three implementations agree in value and gradient:

  dense   the whole [M, K] matrix at once; quickest while it is small
  tiled   one tile at a time, recomputed in the backward pass; O((M + K) D) memory
  ring    tiled, and no device ever holds more columns than its own share: blocks of them travel
          from device to device, in the backward pass together with their gradient

Over devices each keeps its own rows; except in a ring, the columns are all-gathered. On one device
and in a ring, rows that are their own columns (NT-Xent, SupCon, DCL) need half of the tiles and
half of the way: the matrix is symmetric.

All are XLA programs; a Pallas kernel was not tried.

Products are float32 in full. An implementation followed by ":bfloat16" rounds the factors of every
product to bfloat16 and adds in float32, which matrix units do several times as quickly.
"""

import functools
import logging
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from contrastive_jax import errors, parallel
from contrastive_jax.losses import pairs, tiles

IMPLEMENTATIONS = ("auto", "dense", "tiled", "ring")
PRODUCTS = ("float32", "bfloat16")
# The line of a method's option that chooses among them.
OPTION = (
  "similarities: auto (by size, memory), dense, tiled, ring; :bfloat16 behind it: quicker, rougher"
)

_TILE, _TILES = 1024, {"gpu": 4096}
_DENSE_SHARE = 1 / 64  # of a device's memory, for one of the three float32 matrices alive at once
_GATHER_SHARE = 1 / 256  # for all columns, before they travel in a ring
_MEMORY_BYTES = 16 * 2**30  # of a device that does not tell: a TPU v5e's


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
  tile: int | None = None,
) -> tiles.RowStats:
  """Reduces the rows of s = q @ k.T / temperature without the columns of equal id.

  Args:
    q: rows, float32, sharded as the batch if a mesh is in use.
    k: columns; sharded as the batch (then all-gathered) or replicated (a queue or a bank). Pass the
      very arrays of the rows where the rows are the columns: that halves the work of tiles.
    q_id, k_id: column j is left out of row i where `k_id[j] == q_id[i]`; None leaves none out. Of a
      row without any column that remains `logsumexp` is about -1e30, see `has_columns`.
    q_group, k_group: `top` looks only at columns of another group; None looks at all that remain.
    temperature: divides the similarities.
    implementation: "dense", "tiled", "ring", or "auto" (see `choose`); may end in ":bfloat16".
    tile: rows and columns of a tile; None: 1024, or 4096 on a GPU, where that halves the time.

  Returns:
    `RowStats` of arrays [M], sharded as the rows.

  Raises:
    UserError: `implementation` is unknown.
  """
  way = plan(q, k, implementation, tile)
  # A tile and its mirror image are on two devices: only a ring has a way back for what one finds.
  halves = not way.dense and (way.rings or parallel.num_devices() == 1)
  if halves and q is k and q_id is not None and q_id is k_id and q_group is k_group:
    rows = tiles.Rows(q / jnp.sqrt(temperature), *ids(q_id, q_group, q, -1))
    return way.over(lambda rows, _: pairs.pairwise(way.form, rows), rows, ())
  rows = tiles.Rows(q / temperature, *ids(q_id, q_group, q, -1))
  columns = tiles.Columns(k, *ids(k_id, k_group, k, -2))
  reduce = tiles.dense if way.dense else tiles.tiled
  return way.over(functools.partial(reduce, way.form), rows, columns)


class Way(NamedTuple):
  """How a matrix of similarities is gone through: at once or by tiles, gathered or in a ring."""

  dense: bool
  rings: bool
  form: tiles.Form

  @property
  def over(self) -> Callable[..., Any]:
    return parallel.over_own_rows if self.rings else parallel.over_rows


def plan(
  q: Float[Array, "M D"], k: Float[Array, "K D"], implementation: str, tile: int | None
) -> Way:
  """Returns the way of an implementation for these rows and columns, see `row_stats`."""
  check("loss implementation", implementation)
  implementation, _, products = implementation.partition(":")
  if implementation == "auto":
    implementation = choose(len(q), k.shape, sharded=parallel.is_sharded(k))
    _tell(implementation, len(q), len(k), parallel.num_devices())
  tile = tile or _TILES.get(jax.default_backend(), _TILE)
  rings = implementation == "ring" and parallel.is_sharded(k)  # a queue is everywhere already
  form = tiles.Form(tile, parallel.num_devices() if rings else 1, products or "float32")
  return Way(implementation == "dense", rings, form)


def has_columns(stats: tiles.RowStats) -> Bool[Array, " M"]:
  """Returns which rows have a column that is not left out; the others' `logsumexp` means nothing.

  Whoever adds the positive to `logsumexp` need not ask: it is then all that counts.
  """
  return stats.top > tiles.MASKED / 2


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

  "dense" while a device's matrix is small beside its memory, else "ring" if the gathered columns
  would be large, else "tiled", which needs no more time and waits once for the columns, not at
  every hop.
  """
  devices, memory = parallel.num_devices(), _memory_bytes()
  if 4 * num_rows // devices * columns[0] <= _DENSE_SHARE * memory:
    return "dense"
  gathered = 4 * columns[0] * columns[1] if sharded and devices > 1 else 0
  return "ring" if gathered > _GATHER_SHARE * memory else "tiled"


@functools.cache
def _memory_bytes() -> int:
  """Returns the memory of a device as a power of two.

  So that processes, who must choose alike, do not differ because their devices do by a little.
  """
  tells = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", _MEMORY_BYTES)
  return 2 ** round(math.log2(tells))


@functools.cache  # a step asks several times for the same
def _tell(implementation: str, rows: int, columns: int, devices: int) -> None:
  logging.getLogger(__name__).info(
    "contrast of %s rows with %s columns on %d device(s): %s",
    *(f"{rows:,}", f"{columns:,}", devices, implementation),
  )


def ids(identity, group, like, absent):
  """Fills missing ids with a value that the other side never has."""
  identity = parallel.constant_rows(like, absent) if identity is None else identity
  return identity, identity if group is None else group
