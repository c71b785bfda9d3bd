"""The formulas: arrays and a temperature in, a scalar and its metrics out.

All run in float32 whatever the network's dtype. Embeddings come as [B, V, D]: V views of B images.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from contrastive_jax import parallel, similarity


def l2_normalize(z: Float[Array, "*n D"], eps: float = 1e-12) -> Float[Array, "*n D"]:
  """Scales each vector to unit length in float32; `eps` is added to the squared length."""
  z = z.astype(jnp.float32)
  return z * jax.lax.rsqrt(jnp.sum(z * z, axis=-1, keepdims=True) + eps)


def ntxent(
  z: Float[Array, "B V D"], temperature: float, *, implementation: str = "auto", tile: int = 1024
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
  """Computes the normalised temperature-scaled cross entropy over the global batch.

  SimCLR (Chen et al., ICML 2020), eq. 1: cosine similarity, self left out of the denominator, the
  mean over all N = B V rows. (The authors' released code sums the two views' means: twice this.)
  With more than two views, each row averages its log-ratio over its V - 1 positives.

  Args:
    z: projections, not yet normalised.
    temperature: tau, positive.
    implementation, tile: see `similarity.row_stats`.

  Returns:
    The loss in nats, and the metrics `contrastive_accuracy` (share of rows whose mean positive is
    more similar than every other image's view), `contrastive_entropy` (of the softmax over the
    N - 1 columns, nats).
  """
  num_images, num_views, dim = z.shape
  u = l2_normalize(z)
  flat = u.reshape(num_images * num_views, dim)
  row = parallel.row_ids(num_images * num_views)
  stats = similarity.row_stats(
    flat,
    flat,
    row,
    row,
    q_group=row // num_views,
    k_group=row // num_views,
    temperature=temperature,
    implementation=implementation,
    tile=tile,
  )
  positive = mean_positive(u) / temperature
  loss = jnp.mean(stats.logsumexp) - jnp.mean(positive)
  metrics = {
    "contrastive_accuracy": jnp.mean(positive.reshape(-1) > stats.top),
    "contrastive_entropy": jnp.mean(jax.lax.stop_gradient(stats.logsumexp) - stats.mean),
  }
  return loss, metrics


def mean_positive(u: Float[Array, "B V D"]) -> Float[Array, "B V"]:
  """Returns each view's mean similarity to the other V - 1 views of its image."""
  num_views = u.shape[1]
  shifts = [jnp.sum(u * jnp.roll(u, i, axis=1), axis=-1) for i in range(1, num_views)]
  return sum(shifts) / (num_views - 1)


def cross_entropy(
  logits: Float[Array, "B K"], label: Array
) -> tuple[Float[Array, ""], Float[Array, ""]]:
  """Returns the mean cross entropy (nats) and top-1 accuracy over the examples with a label.

  A label of -1 means none. With no labelled example both are 0.
  """
  logits = logits.astype(jnp.float32)
  known = label >= 0
  one_hot = jax.nn.one_hot(label, logits.shape[-1])  # all zero for -1
  loss = jax.nn.logsumexp(logits, axis=-1) - jnp.sum(one_hot * logits, axis=-1)
  right = jnp.argmax(logits, axis=-1) == label
  count = jnp.maximum(jnp.sum(known), 1)
  return jnp.sum(loss * known) / count, jnp.sum(right & known) / count
