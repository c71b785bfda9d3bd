"""Views of grey and of many channels: what changes which, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax import augment, errors
from contrastive_jax.augment import channels, color, filters

SIDE = 12


def image(count, seed=0):
  return jnp.asarray(np.random.default_rng(seed).uniform(size=(SIDE, SIDE, count)), jnp.float32)


def jitter(family):
  return color.Jitter(0.8, 0.8, 0.8, 0.2, p=1.0, family=family)


@pytest.mark.parametrize(
  "operation",
  [jitter("simclr_v2"), jitter("torchvision"), filters.Sobel(1.0)],
  ids=("simclr_v2", "torchvision", "sobel"),
)
def test_grey_goes_through_colour_as_a_grey_picture_in_three_channels_does(operation):
  grey = image(1)
  within = channels.Within(operation, (0,), as_grey=True)
  params = within.sample(jax.random.key(3), jnp.array([SIDE, SIDE]))
  wanted = operation.apply(params, jnp.repeat(grey, 3, axis=-1))
  found = within.apply(params, grey)
  assert found.shape == grey.shape and not np.allclose(found, grey)
  np.testing.assert_array_equal(found[..., 0], wanted[..., 0])


def test_an_operation_changes_its_channels_and_no_other():
  five, operation = image(5), jitter("torchvision")
  within = channels.Within(operation, (4, 0, 2))
  params = within.sample(jax.random.key(0), jnp.array([SIDE, SIDE]))
  found = within.apply(params, five)
  np.testing.assert_array_equal(found[..., [1, 3]], five[..., [1, 3]])
  wanted = operation.apply(params, five[..., jnp.array([4, 0, 2])])
  np.testing.assert_array_equal(found[..., [4, 0, 2]], wanted)


def test_colours_among_five_channels_become_what_they_become_alone():
  """The draws of a recipe do not depend on its channels; equal to the rounding of a program."""
  named = ("color:2,3,4", "blur:2,3,4")
  three = augment.recipe("simclr", 8, num_views=1)
  five = augment.recipe("simclr", 8, num_views=1, channels=5, channels_of=named)
  pixels = jnp.asarray(np.random.default_rng(0).integers(0, 65536, (4, SIDE, SIDE, 5), np.uint16))
  rest = (jnp.full((4, 2), SIDE), jnp.arange(4))

  @jax.jit
  def both(pixels):
    key = jax.random.key(0)
    return augment.views(five, key, 0, pixels, *rest), augment.views(
      three, key, 0, pixels[..., 2:], *rest
    )

  found, wanted = both(pixels)
  assert found.shape == (4, 1, 8, 8, 5)
  np.testing.assert_allclose(found[..., 2:], wanted, atol=2e-5)


def test_16_bits_reach_from_0_to_1():
  found = augment.to_float(jnp.array([0, 1, 65535], jnp.uint16))
  np.testing.assert_allclose(found, [0, 1 / 65535, 1], rtol=1e-6)
  assert augment.to_float(jnp.array([255], jnp.uint8))[0] == 1


def test_grey_is_normalised_by_the_luminance_of_the_three():
  grey, colours = (augment.recipe("moco_v2", 8, channels=c) for c in (1, 3))
  weights = np.array([0.299, 0.587, 0.114])
  np.testing.assert_allclose(grey.mean, [weights @ colours.mean])
  np.testing.assert_allclose(grey.std, [weights @ colours.std])
  assert "grey" not in dict(grey.views[0])
  own = augment.recipe("moco_v2", 8, channels=2, color_strength=0.0, mean=(1, 2), std=(3, 4))
  assert (own.mean, own.std, own.channels) == ((1.0, 2.0), (3.0, 4.0), 2)


@pytest.mark.parametrize(
  ("options", "said"),
  [
    ({}, "has the colour operation jitter, and data.channels is 5"),
    ({"color_strength": 0.0, "sobel": 1.0}, "has the colour operation sobel"),
    ({"channels_of": ("colour:0",)}, "'colour:0' is not OPERATION:0,1"),
    ({"channels_of": ("crop:0",)}, "'crop:0' is not OPERATION:0,1"),
    ({"channels_of": ("blur",)}, "'blur' is not OPERATION:0,1"),
    ({"channels_of": ("blur:5",)}, "channels are 0 to 4"),
    ({"channels_of": ("blur:1,1",)}, "each once"),
    ({"channels_of": ("color:0,1",)}, "operations of colour take three channels"),
    ({"color_strength": 0.0, "normalize": "imagenet"}, "augment.normalize imagenet is of red"),
    ({"color_strength": 0.0, "mean": (0.5,) * 5}, "are not 5 numbers each"),
    ({"color_strength": 0.0, "mean": (0.5,) * 5, "std": (0.0,) * 5}, "those of std above 0"),
  ],
)
def test_what_cannot_be_is_refused_with_the_reason(options, said):
  with pytest.raises(errors.UserError, match=said) as error:
    augment.recipe("simclr", 8, channels=5, **options)
  assert "\n" not in str(error.value)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_picture_of_views_of_other_channels_is_grey(count):
  picture = augment.grid(np.random.default_rng(0).uniform(size=(2, 2, 4, 4, count)))
  assert picture.shape[-1] == 3 and (picture == picture[..., :1]).all()
