"""Resizing of a box of an image as two small matrix products.

A box is cut out first and then resampled, as both image libraries do it: weights that would fall on
pixels outside the box are dropped and the rest rescaled. So no padding leaks into a crop, although
the box differs from image to image and every shape is static.
`jax.image.scale_and_translate` builds the same matrices but stops only at the edge of the array.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Three products of bfloat16 on a TPU, TF32 on a GPU: off by 0.005 and 0.28 levels of 8 bits, where
# a single one of bfloat16 is by 2 (benchmarks/resampling_precision.py). A CPU rounds nothing.
PRECISION = jax.lax.Precision.HIGH


class Box(NamedTuple):
  """A rectangle of an image, in pixels; float32 scalars that hold whole numbers."""

  top: Float[Array, ""]
  left: Float[Array, ""]
  height: Float[Array, ""]
  width: Float[Array, ""]


def resize(
  image: Float[Array, "H W C"],
  box: Box,
  size_px: int,
  interpolation: str,
  antialias: bool = True,
) -> Float[Array, "size_px size_px C"]:
  """Resamples `box` to a square.

  Args:
    image: in [0, 1].
    box: lies inside the image.
    size_px: side of the result.
    interpolation: "bilinear" or "bicubic".
    antialias: widens the kernel where the box shrinks, as Pillow does. False: as `tf.image.resize`
      does unless told otherwise, a value depends on the nearest 2 or 4 pixels of a row or column,
      and those between are skipped. Boxes that do not shrink come out the same.

  Returns:
    The square, clipped to [0, 1] since the cubic kernel overshoots. A box of `size_px` by `size_px`
    comes back unchanged, on a CPU bit for bit.
  """
  return jnp.clip(resample(image, box, size_px, interpolation, antialias), 0.0, 1.0)


def resample(
  image: Float[Array, "H W C"],
  box: Box,
  size_px: int,
  interpolation: str,
  antialias: bool = True,
) -> Float[Array, "size_px size_px C"]:
  """Does what `resize` does to values of any range, and clips none."""
  height, width = image.shape[:2]
  rows = _weights(box.top, box.height, height, size_px, interpolation, antialias)
  columns = _weights(box.left, box.width, width, size_px, interpolation, antialias)
  image = jnp.einsum("hi,ijc->hjc", rows, image, precision=PRECISION)
  return jnp.einsum("wj,hjc->hwc", columns, image, precision=PRECISION)


def _triangle(x: Float[Array, "..."]) -> Float[Array, "..."]:
  return jnp.maximum(1.0 - x, 0.0)


def _cubic(x: Float[Array, "..."]) -> Float[Array, "..."]:
  """Keys' kernel with a = -1/2 (IEEE Trans. ASSP 29(6), 1981), as in Pillow and TensorFlow."""
  near = ((1.5 * x - 2.5) * x) * x + 1.0
  far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
  return jnp.where(x < 1.0, near, jnp.where(x < 2.0, far, 0.0))


_KERNELS = {"bilinear": _triangle, "bicubic": _cubic}


def _weights(
  start: Float[Array, ""],
  length: Float[Array, ""],
  size_in_px: int,
  size_out_px: int,
  interpolation: str,
  antialias: bool,
) -> Float[Array, "out in"]:
  """Returns the matrix that resamples pixels [start, start + length) to `size_out_px` pixels."""
  scale = length / size_out_px
  centre = start + (jnp.arange(size_out_px, dtype=jnp.float32) + 0.5) * scale
  source = jnp.arange(size_in_px, dtype=jnp.float32)
  distance = jnp.abs(source + 0.5 - centre[:, None])
  if antialias:
    distance = distance / jnp.maximum(scale, 1.0)
  inside = (source >= start) & (source < start + length)
  weights = jnp.where(inside, _KERNELS[interpolation](distance), 0.0)
  return weights / weights.sum(axis=1, keepdims=True)
