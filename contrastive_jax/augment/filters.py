"""Neighbourhood filters and noise: Gaussian blur in two definitions, Sobel edges, Gaussian noise.

A separable filter is one banded matrix for the rows and one for the columns. With a width per image
this is much quicker than a convolution, which vmap would turn into a grouped one.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from contrastive_jax.augment import color, draw
from contrastive_jax.augment.resize import PRECISION


@dataclasses.dataclass(frozen=True)
class Blur:
  """With probability `p`, blurs with a Gaussian of width sigma ~ U(min_sigma_px, max_sigma_px).

  Family "tf" (SimCLR, appendix A): kernel of a tenth of the side made odd (224 px: 23, 32 px: 3),
  zeros beyond the edge. Family "pillow": three box filters of the same variance, edge pixels
  repeated, as ImageFilter.GaussianBlur does; its width does not depend on the image.
  """

  p: float = 0.5
  family: str = "tf"
  min_sigma_px: float = 0.1
  max_sigma_px: float = 2.0

  def sample(self, key: PRNGKeyArray, extent: Int[Array, "2"]) -> dict[str, Array]:
    del extent
    u = draw.uniform(key, 2)
    sigma_px = self.min_sigma_px + u[1] * (self.max_sigma_px - self.min_sigma_px)
    return {"on": u[0] < self.p, "sigma_px": sigma_px}

  def apply(self, params: dict[str, Array], image: Float[Array, "H H C"]) -> Float[Array, "H H C"]:
    build = {"tf": _gaussian_matrix, "pillow": _boxes_matrix}[self.family]
    size_px = image.shape[0]
    matrix = jnp.where(params["on"], build(size_px, params["sigma_px"]), jnp.eye(size_px))
    image = jnp.einsum("hi,ijc->hjc", matrix, image, precision=PRECISION)
    image = jnp.einsum("wj,hjc->hwc", matrix, image, precision=PRECISION)
    return jnp.clip(image, 0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Sobel:
  """With probability `p`, replaces the image by the strength of its edges, in all channels.

  Strength is the length of the two Sobel derivatives of the grey image over 4, the largest value
  that either can take, clipped to 1. Edge pixels are repeated.
  """

  p: float = 1.0

  def sample(self, key: PRNGKeyArray, extent: Int[Array, "2"]) -> dict[str, Array]:
    del extent
    return {"on": draw.uniform(key, 1)[0] < self.p}

  def apply(self, params: dict[str, Array], image: Float[Array, "H W C"]) -> Float[Array, "H W C"]:
    grey = color.luminance(tuple(image[..., c] for c in range(3)))
    x = jnp.pad(grey, 1, mode="edge")
    vertical = _smooth(x[2:] - x[:-2], axis=1)
    horizontal = _smooth(x[:, 2:] - x[:, :-2], axis=0)
    edges = jnp.minimum(jnp.sqrt(vertical**2 + horizontal**2) / 4.0, 1.0)
    return jnp.where(params["on"], edges[..., None], image)


@dataclasses.dataclass(frozen=True)
class Noise:
  """With probability `p`, adds Gaussian noise, independent in every value, and clips to [0, 1].

  `params["key"]` is drawn, not the noise, so that parameters stay small.
  """

  p: float = 1.0
  std: float = 0.1

  def sample(self, key: PRNGKeyArray, extent: Int[Array, "2"]) -> dict[str, Array]:
    del extent
    coin, noise = jax.random.split(key)
    return {"on": draw.uniform(coin, 1)[0] < self.p, "key": noise}

  def apply(self, params: dict[str, Array], image: Float[Array, "H W C"]) -> Float[Array, "H W C"]:
    noise = self.std * jax.random.normal(params["key"], image.shape)
    return jnp.where(params["on"], jnp.clip(image + noise, 0.0, 1.0), image)


def _gaussian_matrix(size_px: int, sigma_px: Float[Array, ""]) -> Float[Array, "H H"]:
  radius = size_px // 10 // 2
  pixel = jnp.arange(size_px)
  offset = pixel - pixel[:, None]

  def bell(distance):
    return jnp.exp(-(distance.astype(jnp.float32) ** 2) / (2.0 * sigma_px**2))

  # Divided by the whole kernel, also where part of it hangs over the edge: borders darken.
  total = bell(jnp.arange(-radius, radius + 1)).sum()
  return jnp.where(jnp.abs(offset) <= radius, bell(offset), 0.0) / total


def _boxes_matrix(size_px: int, sigma_px: Float[Array, ""]) -> Float[Array, "H H"]:
  """Three box filters as one matrix (Gwosdek et al., SSVM 2011, "extended box filters").

  A box of radius l + a, 0 <= a < 1, covers 2l + 1 pixels and a fraction a of the next on each side.
  l and a follow from the variance. Weights come from the box's cumulative distribution at the pixel
  edges, so to repeat the edge pixels is to move the first and last edge to infinity.
  """
  passes = 3
  variance = sigma_px**2 / passes
  whole = jnp.floor((jnp.sqrt(12.0 * variance + 1.0) - 1.0) / 2.0)
  part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance)
  part = part / (6 * (variance - (whole + 1) ** 2))
  half = whole + part + 0.5
  edges = jnp.arange(size_px + 1) - 0.5
  edges = edges.at[0].set(-jnp.inf).at[-1].set(jnp.inf)
  below = jnp.clip((edges - jnp.arange(size_px)[:, None] + half) / (2 * half), 0.0, 1.0)
  box = below[:, 1:] - below[:, :-1]
  twice = jnp.matmul(box, box, precision=PRECISION)
  return jnp.matmul(twice, box, precision=PRECISION)


def _smooth(x, axis):
  """Applies [1, 2, 1] along `axis`, which shrinks by two."""
  n = x.shape[axis]
  first, middle, last = (jax.lax.slice_in_dim(x, i, n - 2 + i, axis=axis) for i in range(3))
  return first + 2.0 * middle + last
