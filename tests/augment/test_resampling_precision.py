"""What views may lose where a resampling rounds its operands: less than half a level of 8 bits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax.augment import filters, resize

_EINSUM = jnp.einsum


def tf32(x):
  """Rounds to the ten bits of TF32, of the formats that Precision.HIGH may mean the coarsest."""
  word = jax.lax.bitcast_convert_type(x, jnp.uint32)
  word += (1 << 12) - 1 + ((word >> 13) & 1)
  return jax.lax.bitcast_convert_type((word >> 13) << 13, jnp.float32)


def coarse(subscripts, a, b, precision):
  assert precision == jax.lax.Precision.HIGH
  return _EINSUM(subscripts, tf32(a), tf32(b), precision="highest")


def crop(image):
  box = resize.Box(*jnp.asarray([3.0, 5.0, 61.0, 47.0]))
  return resize.resize(image, box, 32, "bicubic")


def blur(image):
  return filters.Blur().apply({"on": True, "sigma_px": jnp.float32(0.7)}, image)


@pytest.mark.parametrize("operation", [crop, blur])
def test_a_resampling_on_tensor_cores_is_off_by_less_than_half_a_level(operation, monkeypatch):
  image = np.random.default_rng(0).integers(0, 256, (64, 64, 3)) / np.float32(255)
  wanted = operation(jnp.asarray(image, jnp.float32))
  monkeypatch.setattr(jnp, "einsum", coarse)
  error = 255 * np.abs(operation(jnp.asarray(image, jnp.float32)) - wanted)
  assert 0 < error.max() < 0.5
