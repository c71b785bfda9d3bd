"""Crops of two views: equal points of both show the same place of the image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax.augment import overlap

SIDE, POINTS = 48, 5
KEY = jax.random.key(0)


def places(count):
  """Returns `count` images whose two views have each pixel's row and column as channels."""
  rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
  return np.broadcast_to(np.stack([rows, columns], -1), (count, 2, SIDE, SIDE, 2)).astype("float32")


@pytest.fixture(scope="module")
def crops():
  return jax.jit(overlap.crops)(KEY, jnp.arange(32), places(32), overlap.LEAST_AREA)


def test_equal_points_show_the_same_place(crops):
  """The crops are their own maps: what is read is where it lies in the image."""
  images, frames = crops
  found = np.asarray(overlap.read(images, frames, POINTS))
  # The outermost half pixel of a crop has one neighbour only.
  np.testing.assert_allclose(found[:, 0], found[:, 1], atol=0.6)
  inner = found.reshape(-1, 2, POINTS, POINTS, 2)[:, :, 1:-1, 1:-1]
  np.testing.assert_allclose(inner[:, 0], inner[:, 1], atol=0.01)
  assert 4 < frames.mirrored.sum() < 60 and (frames.mirrored[:, 0] != frames.mirrored[:, 1]).any()


def test_points_are_spread_evenly_over_all_that_both_show(crops):
  images, frames = crops
  found = np.asarray(overlap.read(images, frames, POINTS)).mean(1)
  found = found.reshape(-1, POINTS, POINTS, 2)
  box = jax.tree.map(np.asarray, frames.box)
  for axis, (start, length) in enumerate(((box.top, box.height), (box.left, box.width))):
    low, high = start.max(1), (start + length).min(1)
    wanted = low[:, None] + (np.arange(POINTS) + 0.5) / POINTS * (high - low)[:, None]
    along = np.moveaxis(found[..., axis], axis + 1, -1)  # [B, the other axis, P]
    np.testing.assert_allclose(along, np.broadcast_to(wanted[:, None], along.shape), atol=0.6)


def test_a_coarser_map_is_read_at_the_same_places(crops):
  """Maps of an eighth of the side, each location the mean of its pixels."""
  images, frames = crops
  coarse = images.reshape(-1, 2, 6, 8, 6, 8, 2).mean((3, 5))
  found = overlap.read(coarse, frames, POINTS)
  wanted = overlap.read(images, frames, POINTS)
  inner = slice(1, -1)
  shape = (-1, 2, POINTS, POINTS, 2)
  difference = np.abs(found.reshape(shape) - wanted.reshape(shape))[:, :, inner, inner]
  assert np.median(difference) < 0.01 and difference.max() < 4  # half a location at the border


def test_a_place_in_one_map_does_not_tell_the_place_in_the_other(crops):
  """Which location of the second map shows the first's points: many different ones."""
  _, frames = crops
  here = np.broadcast_to(np.arange(SIDE) + 0.5, (32, 2, SIDE, SIDE))[..., None].astype("float32")
  columns = np.asarray(overlap.read(here, frames, POINTS))[..., 0]
  assert np.std(columns[:, 0] - columns[:, 1], axis=0).min() > SIDE / 16


def test_any_two_crops_of_the_least_area_overlap():
  """Both their sides are above half of the image's."""
  image = np.zeros((4000, 1, SIDE, SIDE, 1), np.float32)
  _, frames = jax.jit(overlap.crops, static_argnums=3)(
    KEY, jnp.arange(4000), image, overlap.LEAST_AREA
  )
  shortest = min(frames.box.height.min(), frames.box.width.min())
  assert SIDE / 2 < shortest < 0.6 * SIDE


def test_draws_depend_on_key_and_index_alone(crops):
  _, frames = crops
  _, some = overlap.crops(KEY, jnp.array([7, 3]), places(2), overlap.LEAST_AREA)
  jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[jnp.array([7, 3])], b), frames, some)
  _, other = overlap.crops(jax.random.key(1), jnp.arange(32), places(32), overlap.LEAST_AREA)
  assert (other.box.top != frames.box.top).mean() > 0.5
