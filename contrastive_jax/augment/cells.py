"""Patches in a grid of cells, each at its own place in its cell: what jigsaws are made of.

The gaps between patches keep a network from solving a puzzle by continuing lines over borders, and
each patch is standardised by itself against colour casts (Doersch et al., ICCV 2015, section 3.1;
figures of Kolesnikov et al., CVPR 2019: of a 255 px image 3x3 cells of 85 px, patches of 64 px).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from contrastive_jax import errors
from contrastive_jax.augment import overlap

PATCH_OF_CELL = 64 / 85


def patch_px(size_px: int, grid: int, fraction: float = PATCH_OF_CELL) -> int:
  """Returns the side of a patch in an image of `size_px` with `grid` x `grid` cells.

  Raises:
    UserError: a cell would have less than two pixels.
  """
  if size_px // grid < 2:
    raise errors.UserError(
      f"a view of {size_px} px is too small for {grid}x{grid} patches; use a grid of "
      f"{size_px // 2} or less, or a larger image_size_px"
    )
  return max(1, round(size_px // grid * fraction))


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
  side = patch_px(image.shape[1], grid)
  room = image.shape[1] // grid - side

  def one(index, image):
    draw = jax.random.uniform(jax.random.fold_in(key, index), (grid * grid, 2))
    place = jnp.minimum(jnp.floor(draw * (room + 1)).astype(jnp.int32), room)
    return _cut(image, grid, place, side)

  return jax.vmap(one)(index, image)


def cut_centred(
  image: Float[Array, "B H H C"], grid: int = 3, fraction: float = PATCH_OF_CELL
) -> Float[Array, "B G p p C"]:
  """Cuts the patch in the middle of each cell: what `cut` does, without chance.

  Args:
    image: square.
    grid: cells in a row.
    fraction: side of a patch, of its cell's; 1 is what `crops` cuts from.
  """
  side = patch_px(image.shape[1], grid, fraction)
  room = image.shape[1] // grid - side
  return jax.vmap(lambda image: _cut(image, grid, room // 2, side))(image)


def crops(
  key: PRNGKeyArray,
  index: Int[Array, " B"],
  image: Float[Array, "B H H C"],
  grid: int,
  min_area: float,
) -> Float[Array, "B G p p C"]:
  """Cuts a random resized crop, mirrored or not, out of each cell, and standardises it.

  Args:
    key: of this step and view; the draws for an image depend on it and on its `index` alone.
    index: of each image in its source.
    image: square.
    grid: cells in a row; p is the side of a cell.
    min_area: least area of a crop, as a fraction of its cell.
  """
  side = image.shape[1] // grid

  def patch(key, cell):
    return overlap.crop(key, cell, min_area)[0]

  def one(index, image):
    rows = [image[i * side : (i + 1) * side] for i in range(grid)]
    each = [row[:, i * side : (i + 1) * side] for row in rows for i in range(grid)]
    keys = jax.random.split(jax.random.fold_in(key, index), grid * grid)
    return _standardised(jax.vmap(patch)(keys, jnp.stack(each)))

  return jax.vmap(one)(index, image)


def _cut(image, grid, place, side):
  """Cuts patches of one image [H, H, C] at `place` [G, 2], pixels from their cell's corner."""
  corner = jnp.stack(jnp.divmod(jnp.arange(grid * grid), grid), axis=-1) * (len(image) // grid)
  # A product with one-hot matrices: a gather would not be divided over devices.
  start = (corner + place)[..., None] + jnp.arange(side)  # [G, 2, p]
  pick = jax.nn.one_hot(start, len(image))
  rows = jnp.einsum("gih,hwc->giwc", pick[:, 0], image, precision="highest")
  return _standardised(jnp.einsum("gjw,giwc->gijc", pick[:, 1], rows, precision="highest"))


def _standardised(patches):
  """Gives each of [G, p, p, C] mean 0 and standard deviation 1."""
  mean = patches.mean((1, 2, 3), keepdims=True)
  std = patches.std((1, 2, 3), keepdims=True)
  return (patches - mean) / jnp.maximum(std, 1e-3)
