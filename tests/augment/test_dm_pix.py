"""Operations through dm-pix equal its functions, called one after the other; the others are ours.

The product's side is compiled and mapped over a batch, as training does it; dm-pix is called on one
image at a time, operation by operation.
"""

import itertools

import dm_pix as pix
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax.augment import color, filters, geometry

# Both sides round at every operation, each within 2e-6 of the formula in float64.
_ATOL = 4e-6
_IMAGE = np.random.default_rng(0).random((16, 16, 3)).astype(np.float32)
_IMAGE[0, :8] = list(itertools.product((0.0, 1.0), repeat=3))
_NAMES = ("brightness", "contrast", "saturation", "hue")


def _mapped(operation, params, image=_IMAGE):
  """Applies an operation with a batch of parameters to copies of an image."""
  params = {name: jnp.asarray(values) for name, values in params.items()}
  return np.asarray(jax.jit(jax.vmap(operation.apply, in_axes=(0, None)))(params, image))


def test_flip_is_flip_left_right():
  got = _mapped(geometry.Flip(), {"on": [True, False]})
  np.testing.assert_array_equal(got, [pix.flip_left_right(_IMAGE), _IMAGE])


def test_rotate_is_rot90():
  params = {"on": [True] * 4 + [False], "turns": [0, 1, 2, 3, 3]}
  want = [pix.rot90(_IMAGE, turns) for turns in (0, 1, 2, 3, 0)]
  np.testing.assert_array_equal(_mapped(geometry.Rotate(), params), want)


@pytest.mark.parametrize("threshold", [0.25, 0.5])
def test_solarize_is_solarize_and_the_threshold_itself_is_inverted(threshold):
  image = _IMAGE.copy()
  image[1] = threshold
  got = _mapped(color.Solarize(threshold=threshold), {"on": [True, False]}, image)
  np.testing.assert_array_equal(got, [pix.solarize(image, threshold), image])
  np.testing.assert_array_equal(got[0, 1], np.float32(1 - threshold))


_TENSORFLOW = (pix.adjust_contrast, pix.adjust_saturation, pix.adjust_hue)


@pytest.mark.parametrize(
  "family, brighten, amounts",
  [
    ("simclr_v1", pix.adjust_brightness, (0.3, 1.7, 1.6, 0.17)),
    ("simclr_v1", pix.adjust_brightness, (-0.2, 0.6, 0.3, -0.45)),
    ("simclr_v2", lambda image, factor: factor * image, (1.5, 1.7, 1.6, 0.17)),
    ("simclr_v2", lambda image, factor: factor * image, (0.7, 0.6, 0.3, -0.45)),
  ],
)
def test_jitter_is_dm_pix_one_operation_after_the_other_in_each_order(family, brighten, amounts):
  orders = list(itertools.permutations(range(4)))
  params = {name: [x] * 25 for name, x in zip(_NAMES, amounts, strict=True)}
  params |= {"on": [True] * 24 + [False], "order": orders + orders[-1:]}
  got = _mapped(color.Jitter(0.8, 0.8, 0.8, 0.2, family=family), params)
  operations = (brighten, *_TENSORFLOW)
  for order, image in zip(orders, got, strict=False):
    want = _IMAGE
    for kind in order:
      want = jnp.clip(operations[kind](want, amounts[kind]), 0, 1)
    np.testing.assert_allclose(image, want, atol=_ATOL, err_msg=str(order))
  np.testing.assert_array_equal(got[-1], _IMAGE)


def test_torchvisions_hue_is_adjust_hue():
  turns = [-0.5, -0.1, 0.0, 0.2, 0.5]
  params = {"on": [True] * 5, "order": [(3, 1, 0, 2)] * 5, "hue": turns}
  params |= {name: [1.0] * 5 for name in _NAMES[:3]}
  got = _mapped(color.Jitter(0.8, 0.8, 0.8, 0.2), params)
  want = [pix.adjust_hue(_IMAGE, turn) for turn in turns]
  np.testing.assert_allclose(got, want, atol=_ATOL)


def test_grey_is_ours_since_dm_pix_weighs_red_by_a_ten_thousandth_less():
  own = _mapped(color.Grey(), {"on": [True]})[0]
  other = pix.rgb_to_grayscale(_IMAGE, keep_dims=True)
  np.testing.assert_allclose(own - other, 1e-4 * _IMAGE[..., :1].repeat(3, -1), atol=2e-7)


@pytest.mark.parametrize("size_px", [16, 56])
def test_blur_of_family_tf_is_gaussian_blur_computed_otherwise(size_px):
  image = np.random.default_rng(1).random((size_px, size_px, 3)).astype(np.float32)
  widths = [0.1, 0.7, 2.0]
  got = _mapped(filters.Blur(family="tf"), {"on": [True] * 3, "sigma_px": widths}, image)
  want = [pix.gaussian_blur(image, sigma, size_px // 10) for sigma in widths]
  np.testing.assert_allclose(got, want, atol=2e-6)  # sums of up to 25 products
