"""Convolutions with gradients of their own on a CPU: XLA's values, on any number of devices."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from contrastive_jax import parallel
from contrastive_jax.models import convolution

HALF = [(1, 1), (1, 1)]
# images, their side, channels in and out, the kernel's side, stride, padding
CASES = {
  "groups and a rest": (50, 6, (3, 5), 3, 1, "SAME"),
  "fewer images than a group": (3, 6, (3, 5), 3, 1, HALF),
  "stride": (16, 9, (3, 5), 3, 2, "SAME"),
  "stride, pixels that no window ends on": (16, 8, (3, 5), 3, 2, HALF),
  "stem": (16, 14, (3, 4), 7, 2, [(3, 3), (3, 3)]),
  "one by one": (16, 6, (3, 5), 1, 1, "SAME"),
  "one by one, fewer channels": (16, 6, (5, 3), 1, 1, "SAME"),
  "shortcut": (16, 7, (3, 5), 1, 2, [(0, 0), (0, 0)]),
  "one by one, padded": (16, 6, (3, 5), 1, 1, HALF),
  "window larger than the image": (40, 1, (3, 5), 3, 1, "SAME"),
  "stride wider than the window": (16, 10, (3, 5), 3, 4, "VALID"),
  "padding wider than the stride": (8, 11, (3, 5), 7, 2, [(4, 1), (5, 2)]),
  "images larger than a core's cache": (3, 12, (3, 1000), 3, 1, "SAME"),
  "two at a time and a rest": (5, 12, (3, 400), 3, 1, "SAME"),
  "narrow, larger than a core's cache": (9, 12, (1000, 16), 3, 1, "SAME"),
}
LOOPED = (64, 6, (3, 5), 3, 2, "SAME")


def arrays(images, side, channels, size, *_):
  rng = np.random.default_rng(0)
  shapes = (images, side, side, channels[0]), (size, size, *channels)
  return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def loss_of(convolve, stride, padding):
  def loss(x, kernel):
    y = convolve(x, kernel, (stride, stride), padding, dimension_numbers=convolution._AXES)
    return jnp.sum(jnp.sin(y))

  return loss


def gradients_of(convolve, case):
  """Of images and kernel, to be jitted."""
  return jax.grad(loss_of(convolve, *case[-2:]), (0, 1))


def assert_rounded_alike(ours, xlas):
  for our, xla in zip(ours, xlas, strict=True):
    # Rounding of sums whose terms cancel: 4e-7 of the largest was seen.
    np.testing.assert_allclose(our, xla, rtol=1e-5, atol=2e-6 * np.abs(xla).max())


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_gradients_are_those_of_xla(case):
  forms = (convolution.convolve, lax.conv_general_dilated)
  assert_rounded_alike(*(jax.jit(gradients_of(form, case))(*arrays(*case)) for form in forms))


@pytest.mark.parametrize(
  ("side", "channels", "at_once"),
  [(56, (64, 64), 1), (32, (64, 64), 2), (8, (256, 256), 8), (56, (16, 16), 8), (4, (64, 64), 32)],
)
def test_so_many_images_are_taken_at_a_time_as_a_cores_cache_holds(side, channels, at_once):
  x, dy = (np.empty((64, side, side, c), np.float32) for c in channels)
  assert convolution._few(x, dy) == at_once
  assert convolution._few(x[:3], dy[:3]) == min(at_once, 3)


@pytest.mark.parametrize("channels", [(24, 6), (6, 24)])
def test_of_a_one_by_one_kernel_the_narrower_side_stands_in_front(channels):
  """The product of the wider one's transpose takes several times as long, if it is much wider."""
  case = (64, 8, channels, 1, 1, "SAME")
  gradient = jax.grad(loss_of(convolution.convolve, *case[-2:]), 1)
  text = jax.jit(gradient).lower(*arrays(*case)).compile().as_text()
  assert re.findall(r"= f32\[(6,24|24,6)\]\S* dot\(", text) == ["6,24"]


def test_pixels_that_a_stride_leaves_out_are_not_filled_with_zeros():
  """XLA's library would convolve the zeros, three quarters of all."""
  for case in (CASES["stride"], CASES["shortcut"]):
    text = jax.jit(gradients_of(convolution.convolve, case)).lower(*arrays(*case)).as_text()
    xlas = jax.jit(gradients_of(lax.conv_general_dilated, case)).lower(*arrays(*case)).as_text()
    assert "lhs_dilate = [2, 2]" in xlas and "lhs_dilate = [2, 2]" not in text


def test_a_kernel_gradient_in_bfloat16_is_summed_in_float32():
  x, kernel = (jnp.asarray(a, jnp.bfloat16) for a in arrays(*LOOPED))
  dy = jnp.ones((64, 3, 3, 5), jnp.bfloat16)

  @jax.jit
  def gradient(x, kernel, dy):
    of_kernel = lambda k: convolution.convolve(x, k, (2, 2), "SAME")  # noqa: E731
    return jax.vjp(of_kernel, kernel)[1](dy)[0]

  got, exact = gradient(x, kernel, dy), gradient(*(a.astype(jnp.float32) for a in (x, kernel, dy)))
  assert got.dtype == jnp.bfloat16
  np.testing.assert_array_equal(got, exact.astype(jnp.bfloat16))


def test_on_many_devices_gradients_are_the_same_and_activations_stay():
  x, kernel = arrays(*LOOPED)
  wanted = jax.jit(gradients_of(lax.conv_general_dilated, LOOPED))(x, kernel)
  mesh = parallel.make_mesh()
  with parallel.use(mesh):
    placed = parallel.put(x, mesh), parallel.replicate(kernel, mesh)
    compiled = jax.jit(gradients_of(convolution.convolve, LOOPED)).lower(*placed).compile()
  first, again = compiled(*placed), compiled(*placed)
  assert_rounded_alike(first, wanted)
  jax.tree.map(np.testing.assert_array_equal, first, again)  # to the bit
  moves = re.findall(r" (all-\w+|collective-permute|reduce-scatter)\(", compiled.as_text())
  assert moves == ["all-reduce"]  # of the kernel's gradient


def test_in_a_loop_the_library_takes_every_convolution():
  """Outside of loops alone XLA brings convolutions into the library's order of axes."""
  x, kernel = arrays(*LOOPED)

  @jax.jit
  def looped(parts, kernel):
    return lax.map(lambda x: gradients_of(convolution.convolve, LOOPED)(x, kernel), parts)

  text = looped.lower(x.reshape(2, 32, *x.shape[1:]), kernel).compile().as_text()
  labels = re.findall(r" convolution\(.*dim_labels=([^ ,]+)", text)
  assert labels and set(labels) == {"b01f_01io->b01f"}


@pytest.mark.parametrize("platform", ["tpu", "gpu", "cpu"])
def test_a_program_for_an_accelerator_is_traced_as_without_it(platform):
  """Also on a machine with no other device than its CPU, as a plan is."""
  device = jax.sharding.AbstractDevice("some", None, platform)
  mesh = parallel.make_mesh(jax.devices()[:1]).abstract_mesh.update(abstract_device=device)
  with jax.sharding.use_abstract_mesh(mesh):
    ours, xlas = (
      str(jax.make_jaxpr(gradients_of(form, LOOPED))(*arrays(*LOOPED)))
      for form in (convolution.convolve, lax.conv_general_dilated)
    )
  assert (ours == xlas) == (platform != "cpu")


def test_what_is_no_plain_convolution_is_left_to_xla():
  x, kernel = arrays(*LOOPED)
  axes = dict(dimension_numbers=convolution._AXES)
  for asked in ({"rhs_dilation": (2, 2)}, {"lhs_dilation": (2, 2)}, {"precision": "highest"}):
    got, wanted = (
      form(x, kernel, (1, 1), HALF, **axes, **asked)
      for form in (convolution.convolve, lax.conv_general_dilated)
    )
    np.testing.assert_array_equal(got, wanted)
