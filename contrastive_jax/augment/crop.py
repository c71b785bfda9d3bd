"""Which box of an image a view shows: random resized crops, the whole image, a central square.

Two definitions of the random resized crop are in use, with different distributions of the box. In
TensorFlow's the height is uniform between its smallest and largest value, so small areas are drawn
more often than in torchvision's, where the area is uniform.
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from contrastive_jax.augment import draw
from contrastive_jax.augment.resize import Box, resize

_ASPECT = (3 / 4, 4 / 3)  # width / height, both families
_ATTEMPTS_TF = 100
_ATTEMPTS_TORCHVISION = 10


@dataclasses.dataclass(frozen=True)
class ResizedCrop:
  """Crops a random box of the valid extent and resizes it to a square."""

  size_px: int
  min_area: float = 0.08  # of the valid extent
  max_area: float = 1.0
  sampler: str = "torchvision"  # or "tf"
  interpolation: str = "bicubic"
  antialias: bool = True
  min_covered: float = 0.0  # "tf" alone: smaller boxes are drawn again (min_object_covered)

  def sample(self, key: PRNGKeyArray, extent: Int[Array, "2"]) -> dict[str, Array]:
    sampler = {"tf": self._sample_tf, "torchvision": self._sample_torchvision}[self.sampler]
    return sampler(key, *extent.astype(jnp.float32))._asdict()

  def apply(self, params: dict[str, Array], image: Float[Array, "S S C"]) -> Float[Array, "H H C"]:
    return resize(image, Box(**params), self.size_px, self.interpolation, self.antialias)

  def _sample_tf(self, key, image_height, image_width) -> Box:
    """Draws as `sample_distorted_bounding_box` does (sample_distorted_bounding_box_op.cc).

    The whole image if 100 attempts fail. One difference: that code never places a box on the last
    row or column that it could occupy; here all positions are equally likely.
    """
    u = draw.uniform(key, 2 * _ATTEMPTS_TF + 2)
    aspect = _between(u[:_ATTEMPTS_TF], *_ASPECT)
    image_area = image_height * image_width
    smallest, largest = self.min_area * image_area, self.max_area * image_area
    high = jnp.round(jnp.sqrt(largest / aspect))
    fits = jnp.floor((image_width + 0.5) / aspect)
    high = jnp.where(jnp.round(high * aspect) > image_width, fits, high)
    high = jnp.minimum(high, image_height)
    low = jnp.minimum(jnp.round(jnp.sqrt(smallest / aspect)), high)
    height = low + _integer(u[_ATTEMPTS_TF:-2], high - low + 1)
    # One pixel more, or else less, where rounding has left the range of areas.
    height = height + (height * jnp.round(height * aspect) < smallest)
    height = height - (height * jnp.round(height * aspect) > largest)
    width = jnp.round(height * aspect)
    area = height * width
    valid = (area >= jnp.maximum(smallest, self.min_covered * image_area)) & (area <= largest)
    valid &= (height > 0) & (width > 0) & (height <= image_height) & (width <= image_width)
    height = _first(height, valid, image_height)
    width = _first(width, valid, image_width)
    return _place(u[-2:], height, width, image_height, image_width)

  def _sample_torchvision(self, key, image_height, image_width) -> Box:
    """Draws as `RandomResizedCrop.get_params` does.

    A central crop of the nearest allowed aspect ratio if 10 attempts fail.
    """
    u = draw.uniform(key, 2 * _ATTEMPTS_TORCHVISION + 2)
    area = _between(u[:_ATTEMPTS_TORCHVISION], self.min_area, self.max_area)
    area = area * image_height * image_width
    log_aspect = jnp.log(jnp.asarray(_ASPECT, jnp.float32))
    aspect = jnp.exp(_between(u[_ATTEMPTS_TORCHVISION:-2], log_aspect[0], log_aspect[1]))
    height = jnp.round(jnp.sqrt(area / aspect))
    width = jnp.round(jnp.sqrt(area * aspect))
    valid = (height > 0) & (width > 0) & (height <= image_height) & (width <= image_width)
    found = valid.any()
    widest = jnp.minimum(image_width, jnp.round(image_height * _ASPECT[1]))
    tallest = jnp.minimum(image_height, jnp.round(image_width / _ASPECT[0]))
    height = _first(height, valid, tallest)
    width = _first(width, valid, widest)
    box = _place(u[-2:], height, width, image_height, image_width)
    centre = _centred(height, width, image_height, image_width)
    return Box(*(jnp.where(found, a, b) for a, b in zip(box, centre, strict=True)))


@dataclasses.dataclass(frozen=True)
class Whole:
  """Resizes the whole valid extent to a square, whatever its aspect ratio; draws nothing."""

  size_px: int
  interpolation: str = "bicubic"
  antialias: bool = True

  def sample(self, key: PRNGKeyArray, extent: Int[Array, "2"]) -> dict[str, Array]:
    del key
    return whole_box(extent)._asdict()

  def apply(self, params: dict[str, Array], image: Float[Array, "S S C"]) -> Float[Array, "H H C"]:
    return resize(image, Box(**params), self.size_px, self.interpolation, self.antialias)


def whole_box(extent: Int[Array, "2"]) -> Box:
  """Returns the box of all valid pixels."""
  height, width = extent.astype(jnp.float32)
  return Box(jnp.zeros_like(height), jnp.zeros_like(width), height, width)


def central_box(extent: Int[Array, "2"], proportion: float) -> Box:
  """Returns the central square whose side is `proportion` of the shorter side, rounded."""
  height, width = extent.astype(jnp.float32)
  side = jnp.maximum(jnp.round(proportion * jnp.minimum(height, width)), 1.0)
  return _centred(side, side, height, width)


def _between(u, low, high):
  return low + u * (high - low)


def _integer(u, count):
  """Maps u in [0, 1) to 0 … count - 1."""
  return jnp.minimum(jnp.floor(u * count), count - 1)


def _first(values, valid, otherwise):
  """Returns the first of `values` that is valid, without a gather."""
  first = valid & (jnp.cumsum(valid) == 1)
  return jnp.where(valid.any(), jnp.sum(jnp.where(first, values, 0.0)), otherwise)


def _place(u, height, width, image_height, image_width) -> Box:
  top = _integer(u[0], image_height - height + 1)
  left = _integer(u[1], image_width - width + 1)
  return Box(top, left, height, width)


def _centred(height, width, image_height, image_width) -> Box:
  top = jnp.floor((image_height - height) / 2)
  left = jnp.floor((image_width - width) / 2)
  return Box(top, left, height, width)
