"""Signs that embeddings collapse to a point, a line or a few dimensions.

Every method has its own way not to collapse, and each way can be broken without the loss looking
wrong. The figures cost less than one layer and need no eigenvalues.

An embedding of length nearly 0 has no direction: divided by its length, it passes on a gradient of
up to a million times the size (`losses.l2_normalize`). So the share of such rows is a figure, too.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from contrastive_jax import losses, parallel

_NO_LENGTH = 1e-4  # below, the gradient of a unit vector is multiplied by more than ten thousand


def metrics(
  z: Float[Array, "B V D"], image: Int[Array, " B"] | None = None
) -> dict[str, Float[Array, ""]]:
  """Measures the embeddings of each image's first view over the global batch, at unit length.

  Args:
    z: embeddings.
    image: of each row. One that comes several times, as a stand-in of unreadable ones does, counts
      once. None: all are different.

  Returns:
    `std`: mean over features of the standard deviation over images, times sqrt(D): 1 if they fill
      the sphere evenly, 0 at one point (SimSiam, Chen and He 2021, section 4.1, shows std/1).
    `rank`: (sum of eigenvalues)^2 / (sum of their squares) of the covariance, between 1 and D.
    `cosine`: mean similarity of two different images: about 0 if even, 1 at one point; 0 of images
      whose z has no length, as their z has no direction.
    `zeros`: share of rows whose length, before they are brought to unit length, is nearly 0.
  """
  z = jax.lax.stop_gradient(z[:, 0]).astype(jnp.float32)
  u = losses.l2_normalize(z)
  d = u.shape[1]
  share = 1 / parallel.over_rows(_copies, *[losses.images(u, image)] * 2)[:, None]
  n = share.sum()  # different images
  mean = (share * u).sum(axis=0) / n
  own = jnp.sum(share * u * u)  # of each image with itself: 1, and 0 without length
  centred = u - mean
  covariance = parallel.sum_of_products(share * centred, centred) / n
  variance = jnp.diagonal(covariance)
  total = variance.sum()
  return {
    "std": jnp.sqrt(variance).mean() * jnp.sqrt(d),
    "rank": total**2 / jnp.maximum(jnp.sum(covariance**2), 1e-30),
    "cosine": (jnp.sum((n * mean) ** 2) - own) / jnp.maximum(n * (n - 1), 1),
    "zeros": jnp.mean(jnp.sum(z * z, axis=1) < _NO_LENGTH**2),
  }


def metrics_if(
  due: Bool[Array, ""], z: Float[Array, "B V D"], image: Int[Array, " B"]
) -> dict[str, Float[Array, ""]]:
  """Returns what `metrics` does where it is due, and NaN without its work where it is not."""
  shapes = jax.eval_shape(metrics, z, image)
  nothing = {name: jnp.full(x.shape, jnp.nan, x.dtype) for name, x in shapes.items()}
  return jax.lax.cond(due, metrics, lambda *_: nothing, z, image)


def _copies(image: Int[Array, " b"], all_images: Int[Array, " B"]) -> Float[Array, " b"]:
  return jnp.sum(image[:, None] == all_images, axis=1, dtype=jnp.float32)


def alarms(
  values: dict[str, float],
  *,
  min_std: float,
  min_rank: float,
  max_cosine: float,
  max_zeros: float,
) -> dict[str, str]:
  """Returns {figure: line} for every figure of `metrics` beyond its limit."""
  lines = {}
  if values["std"] < min_std:
    lines["std"] = f"std of z {values['std']:.3f} < {min_std}: embeddings shrink to one point"
  if values["rank"] < min_rank:
    lines["rank"] = (
      f"effective rank of z {values['rank']:.1f} < {min_rank}: it fills few dimensions"
    )
  if values["cosine"] > max_cosine:
    lines["cosine"] = f"mean cosine of z {values['cosine']:.3f} > {max_cosine}: images look alike"
  if values["zeros"] > max_zeros:
    lines["zeros"] = (
      f"share of z without length {values['zeros']:.3f} > {max_zeros}: the head outputs zeros, and "
      "the gradient of those rows is out of proportion"
    )
  return lines
