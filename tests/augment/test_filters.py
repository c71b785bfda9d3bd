"""Filters and geometry against Pillow, SciPy and plain numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from PIL import Image, ImageFilter

from contrastive_jax.augment import filters, geometry

_EXTENT = jnp.asarray([16, 16])
_ON, _OFF = {"on": jnp.asarray(True)}, {"on": jnp.asarray(False)}


def _image(size_px, seed=0):
  return np.random.default_rng(seed).random((size_px, size_px, 3)).astype(np.float32)


def _blur(family, image, sigma_px):
  params = _ON | {"sigma_px": jnp.float32(sigma_px)}
  return np.asarray(jax.jit(filters.Blur(family=family).apply)(params, image))


@pytest.mark.parametrize("size_px, kernel_size", [(32, 3), (96, 9), (224, 23), (16, 1)])
def test_tf_blur_is_a_separable_convolution_with_zeros_beyond_the_edge(size_px, kernel_size):
  image = _image(size_px)
  for sigma_px in (0.1, 0.7, 2.0):
    offset = np.arange(kernel_size) - kernel_size // 2
    kernel = np.exp(-(offset**2) / (2 * sigma_px**2))
    kernel /= kernel.sum()
    want = image.astype(np.float64)
    for axis in (0, 1):
      want = scipy.ndimage.convolve1d(want, kernel, axis=axis, mode="constant", cval=0.0)
    np.testing.assert_allclose(_blur("tf", image, sigma_px), want, atol=2e-6)


@pytest.mark.parametrize("sigma_px", [0.6, 1.3, 2.0])
def test_pillow_blur_is_pillows_up_to_its_8_bit_rounding(sigma_px):
  pixels = (255 * _image(24)).astype(np.uint8)
  got = _blur("pillow", pixels / np.float32(255), sigma_px)
  want = np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma_px))) / 255
  # Pillow makes six passes, each an average, and rounds to whole levels after each.
  np.testing.assert_allclose(got, want, atol=3 / 255)
  assert np.abs(got - want).mean() < 0.5 / 255


def test_pillow_blur_has_the_variance_asked_for_and_keeps_a_flat_image():
  impulse = np.zeros((33, 33, 3), np.float32)
  impulse[16, 16] = 1.0
  distance = np.arange(33) - 16
  for sigma_px in (0.1, 0.3, 1.0, 2.0):
    response = _blur("pillow", impulse, sigma_px)[..., 0].sum(axis=0)
    np.testing.assert_allclose((response * distance**2).sum(), sigma_px**2, rtol=1e-4)
  flat = np.full((16, 16, 3), 0.7, np.float32)
  np.testing.assert_allclose(_blur("pillow", flat, 2.0), flat, atol=1e-6)


@pytest.mark.parametrize("family", ["tf", "pillow"])
def test_blur_that_is_off_returns_the_image_bit_for_bit(family):
  image = _image(32)
  params = _OFF | {"sigma_px": jnp.float32(1.0)}
  np.testing.assert_array_equal(jax.jit(filters.Blur(family=family).apply)(params, image), image)


def test_sobel_is_scipys_gradient_of_the_grey_image():
  image = _image(20)
  grey = image.astype(np.float64) @ [0.299, 0.587, 0.114]
  vertical, horizontal = (scipy.ndimage.sobel(grey, axis, mode="nearest") for axis in (0, 1))
  want = np.minimum(np.hypot(vertical, horizontal) / 4, 1)
  got = np.asarray(filters.Sobel().apply(_ON, image))
  for channel in range(3):
    np.testing.assert_allclose(got[..., channel], want, atol=2e-6)
  np.testing.assert_array_equal(filters.Sobel().apply(_OFF, image), image)


def test_noise_is_gaussian_independent_per_value_and_fixed_by_its_parameters():
  noise = filters.Noise(std=0.05)
  image = np.full((64, 64, 3), 0.5, np.float32)
  params = noise.sample(jax.random.key(0), _EXTENT)
  added = np.asarray(noise.apply(params, image)) - image
  assert abs(added.mean()) < 4 * 0.05 / np.sqrt(added.size)
  assert abs(added.std() / 0.05 - 1) < 4 / np.sqrt(2 * added.size)
  correlations = np.corrcoef(added.reshape(-1, 3).T) - np.eye(3)
  assert np.abs(correlations).max() < 4 / 64
  np.testing.assert_array_equal(noise.apply(params, image) - image, added)
  bright = np.asarray(noise.apply(params, np.ones_like(image)))
  assert bright.max() == 1.0 and bright.min() > 0.5
  np.testing.assert_array_equal(noise.apply(params | _OFF, image), image)


def test_flip_mirrors_columns_with_probability_p():
  image = _image(8)
  np.testing.assert_array_equal(geometry.Flip().apply(_ON, image), image[:, ::-1])
  np.testing.assert_array_equal(geometry.Flip().apply(_OFF, image), image)
  keys = jax.random.split(jax.random.key(0), 10000)
  on = jax.vmap(lambda key: geometry.Flip(0.3).sample(key, _EXTENT)["on"])(keys)
  assert abs(float(on.mean()) - 0.3) < 4 * np.sqrt(0.21 / 10000)


def test_rotation_is_numpys_and_each_angle_is_equally_likely():
  image = _image(8)
  rotate = geometry.Rotate()
  for turns in range(4):
    got = rotate.apply(_ON | {"turns": jnp.asarray(turns)}, image)
    np.testing.assert_array_equal(got, np.rot90(image, turns))
  np.testing.assert_array_equal(rotate.apply(_OFF | {"turns": jnp.asarray(3)}, image), image)
  keys = jax.random.split(jax.random.key(1), 8000)
  turns = jax.vmap(lambda key: rotate.sample(key, _EXTENT)["turns"])(keys)
  counts = np.bincount(np.asarray(turns), minlength=4)
  assert ((counts - 2000) ** 2 / 2000).sum() < 16.3  # chi-square, 3 degrees, 0.1 %


def test_rotation_compiles_to_no_gather_and_no_branch():
  apply = jax.jit(jax.vmap(geometry.Rotate().apply))
  params = {"on": jnp.ones(4, bool), "turns": jnp.arange(4)}
  text = apply.lower(params, np.stack([_image(8)] * 4)).compile().as_text()
  assert " gather(" not in text and "conditional" not in text


@pytest.mark.parametrize(
  "centre_px, rows, columns", [((8, 8), (4, 12), (4, 12)), ((0, 15), (0, 4), (11, 16))]
)
def test_cutout_paints_a_square_that_the_border_may_cut_off(centre_px, rows, columns):
  image = _image(16)
  params = _ON | {"centre": (jnp.asarray(centre_px) + 0.5) / 16}
  want = image.copy()
  want[slice(*rows), slice(*columns)] = 0.5
  np.testing.assert_array_equal(geometry.Cutout().apply(params, image), want)
  np.testing.assert_array_equal(geometry.Cutout().apply(params | _OFF, image), image)


def test_cutouts_centre_is_uniform_over_the_pixels():
  keys = jax.random.split(jax.random.key(3), 4000)
  params = jax.vmap(lambda key: geometry.Cutout(p=0.4).sample(key, _EXTENT))(keys)
  assert abs(float(params["on"].mean()) - 0.4) < 4 * np.sqrt(0.24 / 4000)
  for u in np.asarray(params["centre"]).T:
    gap = np.abs(np.sort(u) - (np.arange(4000) + 0.5) / 4000).max()
    assert gap < 1.95 / np.sqrt(4000)  # Kolmogorov–Smirnov at 0.1 %
