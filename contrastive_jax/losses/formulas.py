"""The formulas: arrays and a temperature in, a scalar and its metrics out.

All run in float32 whatever the network's dtype. Embeddings come as [B, V, D]: V views of B images.

Where an unreadable image has a stand-in, a batch may hold an image twice. `image` [B] says which
image each is of: the views of equal ones are no negatives of each other. The positive is always the
other view in the own place. None says that all are different.
"""

import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from contrastive_jax import parallel
from contrastive_jax.losses import similarity


def l2_normalize(z: Float[Array, "*n D"]) -> Float[Array, "*n D"]:
  """Scales each vector to unit length in float32; 1e-12 is added to the squared length."""
  z = z.astype(jnp.float32)
  return z * jax.lax.rsqrt(jnp.sum(z * z, axis=-1, keepdims=True) + 1e-12)


def ntxent(
  z: Float[Array, "B V D"],
  temperature: float,
  image: Int[Array, " B"] | None = None,
  *,
  implementation: str = "auto",
  tile: int | None = None,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
  """Computes the normalised temperature-scaled cross entropy over the global batch.

  SimCLR (Chen et al., ICML 2020), eq. 1: cosine similarity, self left out of the denominator, the
  mean over all N = B V rows. (The authors' released code sums the two views' means: twice this.)
  With more than two views, each row averages its log-ratio over its V - 1 positives.

  Args:
    z: projections, not yet normalised.
    temperature: tau, positive.
    image: of each row, see the head of this file.
    implementation, tile: see `similarity.row_stats`.

  Returns:
    The loss in nats, and the metrics `contrastive_accuracy` (share of rows whose mean positive is
    more similar than every other image's view), `contrastive_entropy` (of the softmax over the
    N - 1 columns, nats).
  """
  num_images, num_views, dim = z.shape
  # Normalised anew in the backward pass: of two million rows this saves one array in eight.
  u = jax.checkpoint(l2_normalize)(z)
  flat = u.reshape(num_images * num_views, dim)
  image = of_views(images(u, image), num_views)
  others = similarity.row_stats(
    flat,
    flat,
    image,
    image,
    temperature=temperature,
    implementation=implementation,
    tile=tile,
  )
  own = to_own_views(u) / temperature
  of_own, of_others = jax.nn.logsumexp(own, axis=-1), others.logsumexp.reshape(num_images, -1)
  total = jnp.logaddexp(of_own, of_others)
  positive = own.mean(axis=-1)
  loss = jnp.mean(total) - jnp.mean(positive)

  own, of_others, total = jax.lax.stop_gradient((own, of_others, total))
  mean = jnp.exp(of_others - total) * others.mean.reshape(total.shape)
  mean += jnp.sum(jnp.exp(own - total[..., None]) * own, axis=-1)
  metrics = {
    "contrastive_accuracy": jnp.mean(positive.reshape(-1) > others.top),
    "contrastive_entropy": jnp.mean(total - mean),
  }
  return loss, metrics


def images(rows: Float[Array, "B ..."], image: Int[Array, " B"] | None) -> Int[Array, " B"]:
  """Returns `image`, or if it is None a number of its own for each row."""
  return parallel.row_ids(len(rows)) if image is None else image


def of_views(image: Int[Array, " B"], num_views: int) -> Int[Array, " N"]:
  """Repeats what is said of each image for each of its views: N = B V."""
  return jnp.broadcast_to(image[:, None], (len(image), num_views)).reshape(-1)


def to_own_views(u: Float[Array, "B V D"]) -> Float[Array, "B V W"]:
  """Returns each view's similarities to the other W = V - 1 views in its place."""
  shifts = range(1, u.shape[1])
  return jnp.stack([jnp.sum(u * jnp.roll(u, i, axis=1), axis=-1) for i in shifts], axis=-1)


def mean_positive(u: Float[Array, "B V D"]) -> Float[Array, "B V"]:
  """Returns each view's mean similarity to the other V - 1 views of its image."""
  return to_own_views(u).mean(axis=-1)


def cross_entropy(
  logits: Float[Array, "B K"], label: Array, smoothing: float = 0.0
) -> tuple[Float[Array, ""], Float[Array, ""]]:
  """Returns the mean cross entropy (nats) and top-1 accuracy over the examples with a label.

  A label of -1 means none. With no labelled example both are 0. `smoothing` is the share of a label
  that is spread over all K classes (Szegedy et al., CVPR 2016, section 7).
  """
  logits = logits.astype(jnp.float32)
  known = label >= 0
  one_hot = jax.nn.one_hot(label, logits.shape[-1])  # all zero for -1
  target = (1 - smoothing) * one_hot + smoothing / logits.shape[-1]
  loss = jax.nn.logsumexp(logits, axis=-1) - jnp.sum(target * logits, axis=-1)
  right = jnp.argmax(logits, axis=-1) == label
  count = jnp.maximum(jnp.sum(known), 1)
  return jnp.sum(loss * known) / count, jnp.sum(right & known) / count


def infonce(
  q: Float[Array, "B D"],
  positive: Float[Array, "B D"],
  columns: Float[Array, "K D"],
  temperature: float,
  q_id: Int[Array, " B"] | None = None,
  k_id: Int[Array, " K"] | None = None,
  *,
  implementation: str = "auto",
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
  """Computes the cross entropy of each query's positive against its negatives, mean over B.

  InfoNCE as MoCo writes it (He et al., CVPR 2020, eq. 1): the positive is in the denominator once.

  Args:
    q, positive: pairs of vectors, already normalised.
    columns: negatives of every query: sharded as the batch, or replicated (a queue or a bank).
    temperature: tau, positive.
    q_id, k_id: if the positives are among the columns: column j is the positive of row i, or of
      the same image, where `k_id[j] == q_id[i]`, and is not counted again.
    implementation: see `similarity.row_stats`.

  Returns:
    The loss in nats, and the metrics `contrastive_accuracy` (share of queries whose positive is
    more similar than every negative) and `contrastive_entropy` (of the softmax over the positive
    and the negatives, nats).
  """
  stats = similarity.row_stats(
    q, columns, q_id, k_id, temperature=temperature, implementation=implementation
  )
  positive = jnp.sum(q * positive, axis=-1) / temperature
  total = jnp.logaddexp(positive, stats.logsumexp)
  loss = jnp.mean(total - positive)

  positive, total, stats = jax.lax.stop_gradient((positive, total, stats))
  mean = jnp.exp(stats.logsumexp - total) * stats.mean + jnp.exp(positive - total) * positive
  metrics = {
    "contrastive_accuracy": jnp.mean(positive > stats.top),
    "contrastive_entropy": jnp.mean(total - mean),
  }
  return loss, metrics


def infonce_between_views(
  u: Float[Array, "B V D"],
  temperature: float,
  image: Int[Array, " B"] | None = None,
  *,
  symmetric: bool = True,
  implementation: str = "auto",
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
  """Computes `infonce` with the whole batch in another view as columns, mean over pairs of views.

  CPC (van den Oord et al., 2018, eq. 4); E-SSL (Dangovski et al., ICLR 2022, released code). Views
  of the query's own side are never columns.

  Args:
    u: embeddings, already normalised if the similarity is to be the cosine.
    temperature: tau, positive.
    image: of each row, see the head of this file.
    symmetric: every ordered pair of views; else view 0 alone asks, and only for view 1.
    implementation: see `similarity.row_stats`.
  """
  image = images(u, image)
  pairs = itertools.permutations(range(u.shape[1]), 2) if symmetric else [(0, 1)]
  results = [
    infonce(u[:, a], u[:, b], u[:, b], temperature, image, image, implementation=implementation)
    for a, b in pairs
  ]
  return jax.tree.map(lambda *terms: sum(terms) / len(terms), *results)


def semi_hard(
  positive: Float[Array, "b 1"], s: Float[Array, "b K"], margin: float
) -> Bool[Array, "b K"]:
  """Returns where a similarity is below the positive's, but by less than `margin`.

  FaceNet (Schroff et al., CVPR 2015), eq. 4: farther than the positive, yet inside the margin.
  """
  return (s < positive) & (s > positive - margin)


def mean_over_negatives(
  u: Float[Array, "B 2 D"],
  term: Callable[[Array, Array, Array], tuple[Array, Array]],
  image: Int[Array, " B"] | None = None,
  *,
  same_view: bool = False,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
  """Averages a function of similarities over the negatives that mining keeps of each anchor.

  Every view of every image is an anchor, its other view is the positive, and the negatives are the
  views of all other images. Needs the matrix of similarities itself: O(B^2) memory, divided over
  devices by rows.

  Args:
    u: unit vectors.
    term: called with the similarity of the positive [b, 1], those of all columns [b, K] and whether
      a column is a negative [b, K]; returns values [b, K] and which of them to keep [b, K].
    image: of each row, see the head of this file.
    same_view: also take negatives from the anchor's own view; SimCLR's losses do not.

  Returns:
    The mean over the anchors with a kept negative of their means over kept negatives (0 if there
    are none), and the metrics `contrastive_accuracy` (share of anchors whose positive is more
    similar than every negative) and `mined` (share of negatives kept).
  """

  def local(rows, columns):
    u, image = rows
    k, owner = columns
    outcomes = []
    for view in (0, 1):
      views = (0, 1) if same_view else (1 - view,)
      q = u[:, view]
      positive = jnp.sum(q * u[:, 1 - view], axis=-1, keepdims=True)
      s = [jnp.matmul(q, k[:, v].T, precision=jax.lax.Precision.HIGHEST) for v in views]
      s = jnp.concatenate(s, axis=1)
      negative = jnp.tile(image[:, None] != owner, (1, len(views)))
      value, keep = term(positive, s, negative)
      kept = jnp.sum(keep, axis=1)
      outcomes.append(
        {
          "mean": jnp.sum(jnp.where(keep, value, 0.0), axis=1) / jnp.maximum(kept, 1),
          "any": kept > 0,
          "mined": kept / jnp.maximum(jnp.sum(negative, axis=1), 1),
          "right": positive[:, 0] > jnp.max(jnp.where(negative, s, -jnp.inf), axis=1),
        }
      )
    return jax.tree.map(lambda *views: jnp.stack(views, axis=1), *outcomes)

  anchors = (u, images(u, image))
  out = parallel.over_rows(local, anchors, anchors)
  loss = jnp.sum(out["mean"]) / jnp.maximum(jnp.sum(out["any"]), 1)
  metrics = {"contrastive_accuracy": jnp.mean(out["right"]), "mined": jnp.mean(out["mined"])}
  return loss, metrics


def swapped_prediction(
  logits: Float[Array, "B N K"], q: Float[Array, "B V K"]
) -> tuple[Float[Array, ""], dict[str, Array]]:
  """Computes the cross entropy of V large crops' codes with the predictions of all other crops.

  SwAV (Caron et al., NeurIPS 2020), eq. 1 and 6; DINO (Caron et al., ICCV 2021), eq. 3. Both papers
  sum over the V (N - 1) pairs of different crops; both released codes take their mean, as here.

  Args:
    logits: scores / tau of all N crops, the V large ones first.
    q: distributions that the large crops ask for; their gradient is the caller's business.

  Returns:
    The loss in nats, and the metrics `code_agreement` (share of images whose first two crops choose
    the same prototype) and `prototypes_used` (perplexity of the mean prediction, 1 to K).
  """
  log_p = jax.nn.log_softmax(logits, axis=-1)
  num_large, num_crops = q.shape[1], logits.shape[1]
  pairs = [(s, v) for s in range(num_large) for v in range(num_crops) if v != s]
  terms = [-jnp.mean(jnp.sum(q[:, s] * log_p[:, v], axis=-1)) for s, v in pairs]
  chosen = jnp.argmax(logits[:, :2], axis=-1)
  mean = jax.lax.stop_gradient(jnp.exp(log_p[:, :num_large]).mean((0, 1)))
  metrics = {
    "code_agreement": jnp.mean(chosen[:, 0] == chosen[:, 1]),
    "prototypes_used": jnp.exp(-jnp.sum(mean * jnp.log(mean + 1e-12))),
  }
  return sum(terms) / len(pairs), metrics
