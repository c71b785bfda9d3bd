"""Boxes and resizing against Pillow and against the two libraries' algorithms in plain Python."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from contrastive_jax.augment import crop, draw
from contrastive_jax.augment.resize import Box, resize

_PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_DRAWS = 4000


def _image(height, width, seed=0):
  return np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)


def _pillow_resize(image, box, size_px, interpolation):
  """Crops, then resizes each channel as 32-bit floats."""
  top, left, height, width = box
  planes = [
    Image.fromarray(image[top : top + height, left : left + width, c]).resize(
      (size_px, size_px), _PILLOW[interpolation]
    )
    for c in range(3)
  ]
  return np.clip(np.stack([np.asarray(plane) for plane in planes], axis=-1), 0, 1)


_jitted_resize = jax.jit(resize, static_argnums=(2, 3, 4))


def _resize(image, box, size_px, interpolation, antialias=True):
  box = Box(*(np.float32(x) for x in box))
  return np.asarray(_jitted_resize(image, box, size_px, interpolation, antialias))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
  "box", [(0, 0, 40, 56), (3, 11, 7, 5), (9, 20, 31, 36), (39, 55, 1, 1), (0, 0, 24, 24)]
)
def test_resize_equals_pillow_on_the_cropped_image(box, interpolation):
  """Enlarging, shrinking, anisotropic, a single pixel, and a box in a corner."""
  image = _image(40, 56)
  want = _pillow_resize(image, box, 24, interpolation)
  # Both compute in float32; weights of up to 40 pixels add up to about 1e-6.
  np.testing.assert_allclose(_resize(image, box, 24, interpolation), want, atol=3e-6)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_pixels_outside_the_box_have_no_influence(interpolation):
  image = _image(32, 32)
  poisoned = np.full_like(image, 1e6)
  poisoned[4:20, 6:28] = image[4:20, 6:28]
  for size_px in (8, 40):
    want = _resize(image, (4, 6, 16, 22), size_px, interpolation)
    np.testing.assert_array_equal(_resize(poisoned, (4, 6, 16, 22), size_px, interpolation), want)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_box_of_the_size_of_the_result_is_copied_bit_for_bit(interpolation):
  image = _image(40, 40)
  np.testing.assert_array_equal(
    _resize(image, (5, 7, 24, 24), 24, interpolation), image[5:29, 7:31]
  )


# What tf.image.resize(image, [4, 4], "bicubic") of TensorFlow 2.21.0 returns for the image below.
# It rounds a place between two pixels to 1/1024; at these sizes all are multiples of 1/4.
_TENSORFLOW = [
  [0.2825434, 0.4812238, 0.7838587, 0.1209349],
  [0.7447610, 0.5449849, 0.3491053, 0.0374382],
  [0.3281140, 0.1481855, 0.5488912, 0.1804803],
  [0.7895308, 0.1825905, 0.6893622, 0.0824219],
]


def test_without_antialiasing_a_crop_is_resized_as_by_tensorflow():
  row, column = np.mgrid[:10, :6]
  image = _image(32, 32)
  image[5:15, 7:13] = ((7 * row + 13 * column + 5 * row * column) % 32 / 31)[..., None]
  got = _resize(image, (5, 7, 10, 6), 4, "bicubic", antialias=False)
  np.testing.assert_allclose(got, np.stack([_TENSORFLOW] * 3, axis=-1), atol=1e-6)
  assert np.abs(got - _resize(image, (5, 7, 10, 6), 4, "bicubic")).max() > 0.2


def _by_keys(pixels, place):
  """Weighs the four pixels around `place` by Keys' kernel, those inside alone; float64."""
  total = weights = 0.0
  for i in range(math.floor(place) - 1, math.floor(place) + 3):
    if 0 <= i < len(pixels):
      x = abs(i - place)
      near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
      weight = near if x < 1 else far
      total, weights = total + weight * pixels[i], weights + weight
  return total / weights


@pytest.mark.parametrize("box", [(0, 0, 40, 56), (9, 1, 31, 55), (39, 55, 1, 1), (3, 6, 7, 50)])
def test_without_antialiasing_four_pixels_a_side_count_however_far_a_box_shrinks(box):
  image, size_px = _image(40, 56), 12
  top, left, height, width = box
  want = image[top : top + height, left : left + width].astype(np.float64)
  for axis, side in enumerate((height, width)):
    places = (np.arange(size_px) + 0.5) * side / size_px - 0.5
    lines = np.moveaxis(want, axis, 0)
    want = np.moveaxis(np.stack([_by_keys(lines, place) for place in places]), 0, axis)
  got = _resize(image, box, size_px, "bicubic", antialias=False)
  # A place is rounded to 2e-6 in float32, and a weight changes by at most 1.3 times that.
  np.testing.assert_allclose(got, np.clip(want, 0, 1), atol=1e-5)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("box", [(0, 0, 32, 32), (3, 11, 7, 5), (10, 2, 20, 32), (31, 31, 1, 1)])
def test_antialiasing_changes_no_bit_of_a_box_that_does_not_shrink(box, interpolation):
  image = _image(32, 32)
  np.testing.assert_array_equal(
    _resize(image, box, 32, interpolation, antialias=False), _resize(image, box, 32, interpolation)
  )


def _sample(operation, extent, count=_DRAWS, seed=0):
  """Returns float64 [count, 4] boxes and the numbers they were drawn from."""
  keys = jax.random.split(jax.random.key(seed), count)
  draws = 2 * (100 if operation.sampler == "tf" else 10) + 2

  @jax.jit
  def many(keys):
    box = jax.vmap(lambda key: Box(**operation.sample(key, jnp.asarray(extent))))(keys)
    return jnp.stack(box, axis=1), jax.vmap(lambda key: draw.uniform(key, draws))(keys)

  boxes, u = many(keys)
  return np.asarray(boxes, np.float64), np.asarray(u, np.float64)


def _torchvision_box(u, extent, operation):
  """`RandomResizedCrop.get_params`, one attempt after the other."""
  image_height, image_width = extent
  for i in range(10):
    share = operation.min_area + u[i] * (operation.max_area - operation.min_area)
    area = share * image_height * image_width
    aspect = math.exp(math.log(3 / 4) + u[10 + i] * (math.log(4 / 3) - math.log(3 / 4)))
    width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
    if 0 < width <= image_width and 0 < height <= image_height:
      top = int(u[20] * (image_height - height + 1))
      left = int(u[21] * (image_width - width + 1))
      return (top, left, height, width), i
  ratio = image_width / image_height
  if ratio < 3 / 4:
    width, height = image_width, round(image_width / (3 / 4))
  elif ratio > 4 / 3:
    width, height = round(image_height * (4 / 3)), image_height
  else:
    width, height = image_width, image_height
  return ((image_height - height) // 2, (image_width - width) // 2, height, width), 10


def _tf_box(u, extent, operation):
  """`GenerateRandomCrop` under the checks of `SampleDistortedBoundingBox`, as an early return."""
  image_height, image_width = extent
  image_area = image_height * image_width
  smallest, largest = operation.min_area * image_area, operation.max_area * image_area
  for i in range(100):
    aspect = 3 / 4 + u[i] * (4 / 3 - 3 / 4)
    height = round(math.sqrt(smallest / aspect))
    tallest = round(math.sqrt(largest / aspect))
    if round(tallest * aspect) > image_width:
      tallest = int((image_width + 0.5 - 1e-7) / aspect)
    tallest = min(tallest, image_height)
    height = min(height, tallest)
    if height < tallest:
      height += int(u[100 + i] * (tallest - height + 1))
    width = round(height * aspect)
    if width * height < smallest:
      height += 1
      width = round(height * aspect)
    if width * height > largest:
      height -= 1
      width = round(height * aspect)
    area = width * height
    if area < smallest or area > largest or width > image_width or height > image_height:
      continue
    if width <= 0 or height <= 0 or area < operation.min_covered * image_area:
      continue
    top = int(u[200] * (image_height - height + 1))
    left = int(u[201] * (image_width - width + 1))
    return (top, left, height, width), i
  return (0, 0, image_height, image_width), 100


_CASES = [
  ("torchvision", (32, 32), {}),
  ("torchvision", (40, 23), {"min_area": 0.2}),
  ("torchvision", (8, 60), {"min_area": 0.5}),  # often no attempt fits
  ("tf", (32, 32), {"min_covered": 0.1}),
  ("tf", (25, 37), {"min_covered": 0.3}),
  ("tf", (60, 8), {"min_area": 0.15}),  # most attempts fail
  ("tf", (60, 8), {"min_area": 0.5}),  # all attempts fail
]


@pytest.mark.parametrize("sampler, extent, options", _CASES)
def test_boxes_equal_the_librarys_first_valid_attempt(sampler, extent, options):
  operation = crop.ResizedCrop(32, sampler=sampler, **options)
  boxes, u = _sample(operation, extent, count=1000)
  reference = {"tf": _tf_box, "torchvision": _torchvision_box}[sampler]
  want, attempts = zip(*(reference(row, extent, operation) for row in u), strict=True)
  # float32 and float64 may round a side of exactly n + 1/2 pixels differently: allow 1 in 200.
  agree = np.all(boxes == np.asarray(want), axis=1)
  assert agree.mean() >= 0.995
  assert max(attempts) > 0  # so that a later attempt was taken at least once


@pytest.mark.parametrize("sampler, extent, options", _CASES)
def test_boxes_lie_inside_the_valid_extent(sampler, extent, options):
  boxes, _ = _sample(crop.ResizedCrop(32, sampler=sampler, **options), extent)
  top, left, height, width = boxes.T
  assert (top >= 0).all() and (left >= 0).all() and (height >= 1).all() and (width >= 1).all()
  assert (top + height <= extent[0]).all() and (left + width <= extent[1]).all()


def test_torchvision_falls_back_to_a_central_crop_of_the_nearest_aspect():
  boxes, _ = _sample(crop.ResizedCrop(32, min_area=0.9), (10, 100), count=50)
  np.testing.assert_array_equal(boxes, np.tile([0, 43, 10, 13], (50, 1)))
  boxes, _ = _sample(crop.ResizedCrop(32, min_area=0.9), (100, 9), count=50)
  np.testing.assert_array_equal(boxes, np.tile([44, 0, 12, 9], (50, 1)))


def test_tf_falls_back_to_the_whole_image():
  boxes, _ = _sample(crop.ResizedCrop(32, min_area=0.9, sampler="tf"), (10, 100), count=50)
  np.testing.assert_array_equal(boxes, np.tile([0, 0, 10, 100], (50, 1)))


def test_area_and_aspect_have_each_familys_distribution():
  """On a large image, where rounding is nothing and no box fails to fit for areas up to a half."""
  for sampler in ("tf", "torchvision"):
    operation = crop.ResizedCrop(32, min_area=0.1, max_area=0.5, sampler=sampler)
    boxes, _ = _sample(operation, (1000, 1000))
    height, width = boxes[:, 2], boxes[:, 3]
    area, aspect = height * width / 1e6, width / height
    assert 0.1 - 1e-3 <= area.min() and area.max() <= 0.5 + 1e-3
    assert 0.75 - 5e-3 <= aspect.min() and aspect.max() <= 4 / 3 + 5e-3
    if sampler == "torchvision":  # area uniform, aspect log-uniform
      area_cdf, aspect_cdf = (area - 0.1) / 0.4, np.log(aspect / 0.75) / np.log(16 / 9)
    else:  # height uniform, so the root of the area is; aspect uniform
      area_cdf = (np.sqrt(area) - np.sqrt(0.1)) / (np.sqrt(0.5) - np.sqrt(0.1))
      aspect_cdf = (aspect - 0.75) / (4 / 3 - 0.75)
    for cdf in (area_cdf, aspect_cdf):
      gap = np.abs(np.sort(cdf) - (np.arange(_DRAWS) + 0.5) / _DRAWS).max()
      assert gap < 1.95 / np.sqrt(_DRAWS)  # Kolmogorov–Smirnov at 0.1 %; the other family gives 0.1


def test_every_position_of_a_box_is_drawn():
  boxes, _ = _sample(crop.ResizedCrop(8, min_area=0.25, max_area=0.25, sampler="tf"), (8, 8))
  square = boxes[(boxes[:, 2] == 4) & (boxes[:, 3] == 4)]
  assert set(square[:, 0]) == set(square[:, 1]) == set(range(5))


def test_tf_draws_boxes_that_cover_too_little_again():
  boxes, _ = _sample(crop.ResizedCrop(32, sampler="tf", min_covered=0.1), (200, 200))
  area = boxes[:, 2] * boxes[:, 3] / 200**2
  assert area.min() >= 0.1
  boxes, _ = _sample(crop.ResizedCrop(32, sampler="tf"), (200, 200))
  area = boxes[:, 2] * boxes[:, 3] / 200**2
  assert 0.08 <= area.min() < 0.1


def test_central_box_is_a_square_of_the_given_proportion():
  box = crop.central_box(jnp.asarray([256, 320]), 0.875)
  assert [float(x) for x in box] == [16, 48, 224, 224]
  box = crop.central_box(jnp.asarray([1, 9]), 0.875)
  assert [float(x) for x in box] == [0, 4, 1, 1]
