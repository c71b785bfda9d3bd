"""Colour operations against plain float64 formulas, `colorsys` and Pillow."""

import colorsys
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from contrastive_jax.augment import color

_EXTENT = jnp.asarray([16, 16])
_LUMINANCE = np.array([0.299, 0.587, 0.114])
_FAMILIES = ("simclr_v1", "simclr_v2", "torchvision")
# float32 against float64: one rounding is 6e-8, a hue near a corner of the hexagon multiplies it.
_ATOL = 5e-6


def _image(seed=0, size_px=16):
  """Random colours, with the corner cases of HSV: black, white, greys and pure colours."""
  image = np.random.default_rng(seed).random((size_px, size_px, 3))
  image[0, :8] = list(itertools.product((0.0, 1.0), repeat=3))
  image[1, :5] = [[0.5, 0.5, 0.5], [0.3, 0.3, 0.1], [0.3, 0.1, 0.3], [0.1, 0.3, 0.3], [0, 0, 0.2]]
  return image.astype(np.float32)


def _in_hsv(image, change):
  pixels = [
    colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*pixel))) for pixel in image.reshape(-1, 3)
  ]
  return np.array(pixels).reshape(image.shape)


def _hue(image, turn):
  return _in_hsv(image, lambda h, s, v: ((h + turn) % 1.0, s, v))


def _torchvision(image, kind, amount):
  grey = (image @ _LUMINANCE)[..., None]
  if kind == 3:
    return _hue(image, amount)
  reference = (0.0, grey.mean(), grey)[kind]
  return amount * image + (1 - amount) * reference


def _tensorflow(image, kind, amount, additive):
  if kind == 0:
    return image + amount if additive else image * amount
  if kind == 1:
    mean = image.mean(axis=(0, 1), keepdims=True)
    return (image - mean) * amount + mean
  if kind == 2:
    return _in_hsv(image, lambda h, s, v: (h, min(max(s * amount, 0.0), 1.0), v))
  return _hue(image, amount)


def _one_after_the_other(family, image, order, amounts):
  """Applies the four operations in order, clipping after each, in float64."""
  image = image.astype(np.float64)
  for kind in order:
    if family == "torchvision":
      image = _torchvision(image, kind, amounts[kind])
    else:
      image = _tensorflow(image, kind, amounts[kind], additive=family == "simclr_v1")
    image = np.clip(image, 0, 1)
  return image


def _params(order, amounts, on=True):
  names = ("brightness", "contrast", "saturation", "hue")
  amounts = {name: jnp.float32(x) for name, x in zip(names, amounts, strict=True)}
  return {"on": jnp.asarray(on), "order": jnp.asarray(order, jnp.int32), **amounts}


def _jitter(family, **options):
  return color.Jitter(0.8, 0.8, 0.8, 0.2, family=family, **options)


@pytest.mark.parametrize("family", _FAMILIES)
def test_jitter_equals_the_four_operations_in_each_of_the_24_orders(family):
  """Strong amounts, so that clipping and saturation 1 are reached and no two orders agree."""
  image = _image()
  amounts = (0.3 if family == "simclr_v1" else 1.5, 1.7, 1.6, 0.17)
  orders = list(itertools.permutations(range(4)))
  params = [_params(order, amounts) for order in orders]
  params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *params)
  apply = jax.jit(jax.vmap(_jitter(family).apply, in_axes=(0, None)))
  got = np.asarray(apply(params, image))
  want = np.stack([_one_after_the_other(family, image, order, amounts) for order in orders])
  np.testing.assert_allclose(got, want, atol=_ATOL)
  different = [np.abs(a - b).max() > 0.01 for a, b in itertools.combinations(want, 2)]
  assert np.mean(different) > 0.8


@pytest.mark.parametrize("family", _FAMILIES)
def test_each_operation_alone_equals_its_definition(family):
  neutral = (0.0 if family == "simclr_v1" else 1.0, 1.0, 1.0, 0.0)
  image = _image()
  apply = jax.jit(_jitter(family).apply)
  for kind, values in enumerate([(-0.3, 0.4), (0.2, 1.8), (0.0, 1.8), (-0.2, 0.5)]):
    for value in values:
      if kind == 0 and family != "simclr_v1":
        value += 1.0
      amounts = [value if i == kind else x for i, x in enumerate(neutral)]
      want = _one_after_the_other(family, image, [kind], amounts)
      np.testing.assert_allclose(
        apply(_params((2, 0, 3, 1), amounts), image), want, atol=_ATOL, err_msg=f"{kind} {value}"
      )


@pytest.mark.parametrize("family", _FAMILIES)
def test_jitter_that_is_off_returns_the_image_bit_for_bit(family):
  image = _image()
  got = _jitter(family).apply(_params((3, 1, 0, 2), (0.4, 1.4, 1.6, 0.2), on=False), image)
  np.testing.assert_array_equal(got, image)


@pytest.mark.parametrize(
  "kind, enhance",
  [(0, ImageEnhance.Brightness), (1, ImageEnhance.Contrast), (2, ImageEnhance.Color)],
)
def test_torchvision_family_is_pillows_up_to_its_8_bit_rounding(kind, enhance):
  pixels = (255 * _image()).astype(np.uint8)
  for factor in (0.4, 1.6):
    amounts = [factor if i == kind else x for i, x in enumerate((1.0, 1.0, 1.0, 0.0))]
    got = _jitter("torchvision").apply(_params((0, 1, 2, 3), amounts), pixels / np.float32(255))
    want = np.asarray(enhance(Image.fromarray(pixels)).enhance(factor)) / 255
    # Pillow truncates the blend and rounds the grey image (its mean, for contrast) to whole levels.
    np.testing.assert_allclose(got, want, atol=1.7 / 255)


@pytest.mark.parametrize("family", _FAMILIES)
def test_jitter_draws_from_the_stated_ranges(family):
  count = 4000
  keys = jax.random.split(jax.random.key(0), count)
  jitter = color.Jitter(0.4, 1.2, 0.2, 0.1, p=0.8, family=family)
  params = jax.tree.map(np.asarray, jax.jit(jax.vmap(lambda k: jitter.sample(k, _EXTENT)))(keys))
  low = -0.4 if family == "simclr_v1" else 0.6
  ranges = {"brightness": (low, low + 0.8), "contrast": (0.0, 2.2), "saturation": (0.8, 1.2)}
  ranges["hue"] = (-0.1, 0.1)
  for name, (low, high) in ranges.items():
    u = (params[name] - low) / (high - low)
    assert u.min() >= -1e-6 and u.max() <= 1 + 1e-6
    gap = np.abs(np.sort(u) - (np.arange(count) + 0.5) / count).max()
    assert gap < 1.95 / np.sqrt(count), name  # Kolmogorov–Smirnov at 0.1 %
  assert abs(params["on"].mean() - 0.8) < 4 * np.sqrt(0.16 / count)
  orders, counts = np.unique(params["order"], axis=0, return_counts=True)
  np.testing.assert_array_equal(orders, list(itertools.permutations(range(4))))
  expected = count / 24
  assert ((counts - expected) ** 2 / expected).sum() < 49.7  # chi-square, 23 degrees, 0.1 %
  correlations = np.corrcoef([params[name] for name in ranges])
  assert np.abs(correlations - np.eye(4)).max() < 4 / np.sqrt(count)


@pytest.mark.parametrize("family", _FAMILIES)
def test_jitter_keeps_values_in_range_at_any_strength(family):
  jitter = color.Jitter(2.0, 2.0, 2.0, 0.5, p=1.0, family=family)

  @jax.jit
  @jax.vmap
  def apply(key):
    return jitter.apply(jitter.sample(key, _EXTENT), jnp.asarray(_image()))

  images = np.asarray(apply(jax.random.split(jax.random.key(1), 200)))
  assert np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1


@pytest.mark.parametrize("family", _FAMILIES)
def test_turning_hue_keeps_value_and_chroma_and_a_whole_turn_is_the_identity(family):
  image, neutral = _image(), (0.0 if family == "simclr_v1" else 1.0, 1.0, 1.0)

  def turned(turn):
    return np.asarray(_jitter(family).apply(_params((0, 3, 2, 1), (*neutral, turn)), image))

  for extreme in (np.max, np.min):
    np.testing.assert_allclose(extreme(turned(0.3), -1), extreme(image, -1), atol=_ATOL)
  assert np.abs(turned(0.3) - image).max() > 0.5
  for turn in (0.0, 1.0, -1.0):
    np.testing.assert_allclose(turned(turn), image, atol=_ATOL)


def test_grey_is_pillows_luminance_in_three_channels():
  pixels = (255 * _image()).astype(np.uint8)
  got = color.Grey().apply({"on": jnp.asarray(True)}, pixels / np.float32(255))
  want = np.asarray(Image.fromarray(pixels).convert("L"))
  np.testing.assert_allclose(got, np.repeat(want[..., None], 3, axis=2) / 255, atol=0.51 / 255)
  image = _image()
  np.testing.assert_array_equal(color.Grey().apply({"on": jnp.asarray(False)}, image), image)


def test_solarize_inverts_what_pillow_inverts():
  pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
  got = color.Solarize().apply({"on": jnp.asarray(True)}, pixels / np.float32(255))
  want = np.asarray(ImageOps.solarize(Image.fromarray(pixels)))
  np.testing.assert_allclose(got, want / 255, atol=1e-6)
  image = _image()
  np.testing.assert_array_equal(color.Solarize().apply({"on": jnp.asarray(False)}, image), image)


@pytest.mark.parametrize("operation", [color.Grey(0.2), color.Solarize(0.1), color.Grey(1.0)])
def test_coins_fall_with_probability_p(operation):
  keys = jax.random.split(jax.random.key(2), 10000)
  on = jax.jit(jax.vmap(lambda key: operation.sample(key, _EXTENT)["on"]))(keys)
  deviation = np.sqrt(operation.p * (1 - operation.p) / 10000)
  assert abs(float(on.mean()) - operation.p) <= 4 * deviation
