"""Patches in a grid of cells, each at its own place in its cell: what jigsaws are made of.

The gaps between patches keep a network from solving a puzzle by continuing lines over borders, and
each patch is standardised by itself against colour casts (Doersch et al., ICCV 2015, section 3.1;
figures of Kolesnikov et al., CVPR 2019: of a 255 px image 3x3 cells of 85 px, patches of 64 px).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

_PATCH_OF_CELL = 64 / 85


def patch_px(size_px: int, grid: int) -> int:
  """Returns the side of a patch in an image of `size_px` with `grid` x `grid` cells."""
  return max(1, round(size_px // grid * _PATCH_OF_CELL))


def cut(
  key: PRNGKeyArray, index: Int[Array, " B"], image: Float[Array, "B H H C"], grid: int = 3
) -> Float[Array, "B G p p C"]:
  """Cuts one standardised patch out of each of the G = grid² cells, row by row.

  Args:
    key: of this step; the places in an image depend on it and on the image's `index` alone.
    index: of each image in its source.
    image: square.
    grid: cells in a row.
  """
  cell = image.shape[1] // grid
  side = patch_px(image.shape[1], grid)

  def places(index):
    draw = jax.random.uniform(jax.random.fold_in(key, index), (grid * grid, 2))
    jitter = jnp.floor(draw * (cell - side + 1)).astype(jnp.int32)
    corner = jnp.stack(jnp.divmod(jnp.arange(grid * grid), grid), axis=-1) * cell
    return corner + jnp.minimum(jitter, cell - side)

  # A product with one-hot matrices: a gather would not be divided over devices.
  start = jax.vmap(places)(index)[..., None] + jnp.arange(side)  # [B, G, 2, p]
  pick = jax.nn.one_hot(start, image.shape[1])
  rows = jnp.einsum("bgih,bhwc->bgiwc", pick[:, :, 0], image, precision="highest")
  patches = jnp.einsum("bgjw,bgiwc->bgijc", pick[:, :, 1], rows, precision="highest")
  mean = patches.mean((2, 3, 4), keepdims=True)
  std = patches.std((2, 3, 4), keepdims=True)
  return (patches - mean) / jnp.maximum(std, 1e-3)
