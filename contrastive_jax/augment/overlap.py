"""Two crops of one image, and the points that both show: places that correspond, not learnt.

Two maps are read at the same points of the image, bilinearly as in RoIAlign (He et al., ICCV 2017,
section 3): what Roh et al. (SCRL, CVPR 2021) do with boxes in the overlap of two
views. Each crop moves, scales and mirrors the image in its own way, so where a location lies in its
map does not tell which one of the other map shows the same.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from contrastive_jax.augment.crop import ResizedCrop
from contrastive_jax.augment.geometry import Flip
from contrastive_jax.augment.resize import Box, resample

LEAST_AREA = 0.4  # two crops of an aspect ratio of 3/4 to 4/3 overlap if their area is above 1/3


class Frame(NamedTuple):
  """What a crop shows: its box, in pixels, which is then mirrored or not."""

  box: Box
  mirrored: Bool[Array, "*B"]


def crop(
  key: PRNGKeyArray, image: Float[Array, "H H C"], min_area: float
) -> tuple[Float[Array, "H H C"], Frame]:
  """Cuts a random resized crop out of a square, mirrored or not."""
  side = len(image)
  place, flip = ResizedCrop(side, min_area, interpolation="bilinear"), Flip()
  extent, (place_key, flip_key) = jnp.full(2, side), jax.random.split(key)
  box, mirror = Box(**place.sample(place_key, extent)), flip.sample(flip_key, extent)
  return flip.apply(mirror, resample(image, box, side, "bilinear")), Frame(box, mirror["on"])


def crops(
  key: PRNGKeyArray,
  index: Int[Array, " B"],
  image: Float[Array, "B V H H C"],
  min_area: float,
) -> tuple[Float[Array, "B V H H C"], Frame]:
  """Cuts a random resized crop, mirrored or not, out of each view of each image.

  Args:
    key: of this step; the draws for an image depend on it and on its `index` alone.
    index: of each image in its source.
    image: square views that show the same place.
    min_area: least area of a crop; from `LEAST_AREA` on any two overlap.

  Returns:
    The crops and their frames, whose leaves are [B, V].
  """

  def one(index, views):
    keys = jax.random.split(jax.random.fold_in(key, index), len(views))
    return jax.vmap(lambda key, view: crop(key, view, min_area))(keys, views)

  return jax.vmap(one)(index, image)


def read(
  maps: Float[Array, "B V h w D"], frames: Frame, points: int
) -> Float[Array, "B V points**2 D"]:
  """Reads the maps of the crops of an image at equal points of what all of them show.

  Args:
    maps: of the crops.
    frames: where the crops lie in the image, leaves [B, V].
    points: in a row and in a column; they are spread evenly over the overlap, row by row.
  """

  def span(start, length, size):  # of the overlap, seen from each crop: 0 to 1 is all of it
    low, high = jnp.max(start), jnp.min(start + length)
    place = low + (jnp.arange(points) + 0.5) / points * (high - low)
    return (place - start[:, None]) / length[:, None] * size

  def one(maps, frames):
    box, (height, width) = frames.box, maps.shape[1:3]
    rows = span(box.top, box.height, height)
    columns = span(box.left, box.width, width)
    columns = jnp.where(frames.mirrored[:, None], width - columns, columns)
    # Products with two-banded matrices: a gather would not be divided over devices.
    found = jnp.einsum("vph,vhwd->vpwd", _between(rows, height), maps, precision="highest")
    found = jnp.einsum("vqw,vpwd->vpqd", _between(columns, width), found, precision="highest")
    return found.reshape(len(maps), points * points, -1)

  return jax.vmap(one)(maps, frames)


def _between(place: Float[Array, "V p"], size: int) -> Float[Array, "V p size"]:
  """Returns the weights of locations whose centres are at 1/2, 3/2 ..; the outermost go on."""
  place = jnp.clip(place - 0.5, 0, size - 1)
  return jnp.maximum(1 - jnp.abs(place[..., None] - jnp.arange(size)), 0.0)
