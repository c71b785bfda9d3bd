"""Signs that embeddings collapse to a point, a line or a few dimensions.

Every method has its own way not to collapse, and each way can be broken without the loss looking
wrong. The three figures cost less than one layer and need no eigenvalues.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from contrastive_jax import losses, parallel


def metrics(
  z: Float[Array, "B V D"], image: Int[Array, " B"] | None = None
) -> dict[str, Float[Array, ""]]:
  """Measures the unit-length embeddings of each image's first view over the global batch.

  Args:
    z: embeddings.
    image: of each row. One that comes several times, as a stand-in of unreadable ones does, counts
      once. None: all are different.

  Returns:
    `std`: mean over features of the standard deviation over images, times sqrt(D): 1 if they fill
      the sphere evenly, 0 at one point (SimSiam, Chen and He 2021, section 4.1, shows std/1).
    `rank`: (sum of eigenvalues)^2 / (sum of their squares) of the covariance, between 1 and D.
    `cosine`: mean similarity of two different images: about 0 if even, 1 at one point.
  """
  u = losses.l2_normalize(jax.lax.stop_gradient(z[:, 0]))
  d = u.shape[1]
  share = 1 / parallel.over_rows(_copies, *[losses.images(u, image)] * 2)[:, None]
  n = share.sum()  # different images
  mean = (share * u).sum(axis=0) / n
  centred = u - mean
  covariance = parallel.sum_of_products(share * centred, centred) / n
  variance = jnp.diagonal(covariance)
  total = variance.sum()
  return {
    "std": jnp.sqrt(variance).mean() * jnp.sqrt(d),
    "rank": total**2 / jnp.maximum(jnp.sum(covariance**2), 1e-30),
    "cosine": (jnp.sum((n * mean) ** 2) - n) / jnp.maximum(n * (n - 1), 1),
  }


def _copies(image: Int[Array, " b"], all_images: Int[Array, " B"]) -> Float[Array, " b"]:
  return jnp.sum(image[:, None] == all_images, axis=1, dtype=jnp.float32)


def alarms(
  values: dict[str, float], *, min_std: float, min_rank: float, max_cosine: float
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
  return lines
