"""Convolutions whose gradients are quick on a CPU as well.

XLA takes the gradient of a kernel over all images at once, with the images as channels: on a CPU
each step of the innermost loop then jumps over whole images, at a fifth to a half of the speed of
the forward pass. Over a few images at a time, and summed, it runs at the speed of the forward pass.
In a loop of a program, such as that over micro-batches, XLA moreover leaves the convolutions of
gradients in an order of axes that its library does not take, and they run five (images) to
thirty times (kernels) slower; here they are written in that order (benchmarks/convolution.py).

What is traced for another platform than a CPU is `jax.lax.conv_general_dilated` itself.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from contrastive_jax import parallel

_OWN_GRADIENTS_ON = ("cpu",)  # platforms
_AXES = ("NHWC", "HWIO", "NHWC")
# A few images: what fits into a core's own cache, at most `_MOST`, and `_FEWEST` where the kernel
# has no more than `_NARROW` channels out.
_BYTES, _MOST = 2**19, 32
_NARROW, _FEWEST = 16, 8

Pads = tuple[tuple[int, int], tuple[int, int]]


def convolve(
  x: Float[Array, "N H W C"],
  kernel: Float[Array, "h w C D"],
  strides: tuple[int, int],
  padding: str | list[tuple[int, int]],
  *,
  lhs_dilation: tuple[int, int] = (1, 1),
  rhs_dilation: tuple[int, int] = (1, 1),
  dimension_numbers: Any = _AXES,
  feature_group_count: int = 1,
  precision: Any = None,
) -> Float[Array, "N p q D"]:
  """Is `jax.lax.conv_general_dilated`, in the arguments of which flax's `Conv` makes use.

  The gradient of a plain convolution has a form of its own on a CPU; it cannot be differentiated in
  forward mode there.
  """
  plain = lhs_dilation == rhs_dilation == (1, 1) and feature_group_count == 1 and precision is None
  if plain and parallel.platform() in _OWN_GRADIENTS_ON:
    if isinstance(padding, str):
      padding = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], strides, padding)
    if kernel.shape[:2] == (1, 1) and not any(map(any, padding)):  # the other pixels take no part
      x, strides = x[:, :: strides[0], :: strides[1]], (1, 1)
    return _convolve(x, kernel, tuple(strides), tuple(map(tuple, padding)))
  return lax.conv_general_dilated(
    x,
    kernel,
    strides,
    padding,
    lhs_dilation=lhs_dilation,
    rhs_dilation=rhs_dilation,
    dimension_numbers=dimension_numbers,
    feature_group_count=feature_group_count,
    precision=precision,
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve(x: Array, kernel: Array, strides: tuple[int, int], pads: Pads) -> Array:
  return lax.conv_general_dilated(x, kernel, strides, pads, dimension_numbers=_AXES)


def _forward(x, kernel, strides, pads):
  return _convolve(x, kernel, strides, pads), (x, kernel)


def _backward(strides, pads, saved, dy):
  x, kernel = saved
  for_x = _gradient_of_x(kernel, dy, x.shape, strides, pads)
  of_rows = functools.partial(_gradient_of_kernel, shape=kernel.shape, strides=strides, pads=pads)
  return for_x, parallel.sum_over_rows(of_rows, x, dy).astype(kernel.dtype)


_convolve.defvjp(_forward, _backward)


def _gradient_of_x(kernel, dy, x_shape, strides, pads):
  """Convolves `dy` with the kernel turned round.

  With strides each pixel of the product holds all pixels of x between two of `dy` as channels, so
  that `dy` is not filled up with zeros: it has that many times fewer pixels to convolve.
  """
  sides = zip(kernel.shape[:2], dy.shape[1:3], x_shape[1:3], strides, pads, strict=True)
  taps, full, fill, crop = [], [], [], []
  for size, out, there, stride, (before, _) in sides:
    few = -(-size // stride)  # of `dy`, on which one pixel of x bears
    first, last = before // stride, -(-(before + there) // stride)
    taps += [few, stride]
    full.append((few - 1 - first, last - out))
    fill.append((0, few * stride - size))
    crop.append(slice(before - first * stride, before - first * stride + there))
  kernel = jnp.pad(kernel, (*fill, (0, 0), (0, 0))).reshape(*taps, *kernel.shape[2:])
  turned = kernel[::-1, :, ::-1].transpose(0, 2, 5, 1, 3, 4)
  turned = turned.reshape(*turned.shape[:3], -1)
  apart = lax.conv_general_dilated(dy, turned, (1, 1), full, dimension_numbers=_AXES)
  if strides == (1, 1):
    return apart
  apart = apart.reshape(*apart.shape[:3], *strides, -1).swapaxes(2, 3)
  whole = lax.collapse(lax.collapse(apart, 3, 5), 1, 3)
  return whole[:, crop[0], crop[1]]


def _gradient_of_kernel(x, dy, *, shape, strides, pads):
  """Sums the gradient over the images, in float32, a few at a time."""
  if shape[:2] == (1, 1) and pads == ((0, 0), (0, 0)):  # one matrix product
    return _summed_products(x, dy)[None, None]
  few = _few(x, dy)
  gradient = functools.partial(_gradient_of_few, shape=shape, strides=strides, pads=pads)
  first = len(x) % few or few  # so that the rest is whole groups

  def add(number, total):  # sliced here: groups of a scan would be a copy of all
    part = (lax.dynamic_slice_in_dim(a, first + few * number, few) for a in (x, dy))
    return total + gradient(*part)

  return lax.fori_loop(0, len(x) // few - (first == few), add, gradient(x[:first], dy[:first]))


def _few(x, dy):
  """Returns how many images are taken at a time: a power of two, or all."""
  fit = max(_BYTES // max(a.nbytes // len(a) for a in (x, dy)), 1)
  fewest = _FEWEST if dy.shape[3] <= _NARROW else 1
  return min(max(1 << (fit.bit_length() - 1), fewest), _MOST, len(x))


def _summed_products(x, dy):
  """Returns x.T @ dy over all pixels, [C, D], with the narrower of the two in front.

  The other way round XLA packs the wider one anew, in up to ten times the time (`linear_steps`).
  """
  images = (((0, 1, 2), (0, 1, 2)), ((), ()))
  product = functools.partial(
    lax.dot_general, dimension_numbers=images, preferred_element_type=jnp.float32
  )
  if x.shape[-1] <= dy.shape[-1]:
    return product(x, dy)
  return lax.optimization_barrier(product(dy, x)).T  # XLA would fold the transpose back into it


def _gradient_of_few(x, dy, *, shape, strides, pads):
  """Convolves x with `dy`; channels are the images, and images the channels."""
  sides = zip(shape[:2], dy.shape[1:3], x.shape[1:3], strides, pads, strict=True)
  reach = [
    (before, size - 1 + (out - 1) * stride + 1 - there - before)
    for size, out, there, stride, (before, _) in sides
  ]
  found = lax.conv_general_dilated(
    x.transpose(3, 1, 2, 0),
    dy.transpose(1, 2, 0, 3),
    (1, 1),
    reach,
    rhs_dilation=strides,
    dimension_numbers=_AXES,
    preferred_element_type=jnp.float32,
  )
  return found.transpose(1, 2, 0, 3)
