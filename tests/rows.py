"""Rows for the similarity matrix, and scalars of its statistics that have a gradient."""

import jax.numpy as jnp
import numpy as np

from contrastive_jax import parallel
from contrastive_jax.losses import similarity


def problem(m, k, d=8, seed=0):
  rng = np.random.default_rng(seed)
  vectors = rng.normal(size=(m, d)), rng.normal(size=(k, d))
  unit = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in vectors)
  return tuple(x.astype(np.float32) for x in unit)


def weighted(q, k, temperature, weights, **options):
  ids = parallel.row_ids(len(q))
  stats = similarity.row_stats(q, k, ids, ids, temperature=temperature, **options)
  return jnp.sum(stats.logsumexp * weights)


def over_itself(u, id, temperature, weights, implementation, tile):
  """A scalar with a gradient, and all statistics, of rows that are their own columns."""
  stats = similarity.row_stats(
    u,
    u,
    id,
    id,
    q_group=(group := id // 4),
    k_group=group,
    temperature=temperature,
    implementation=implementation,
    tile=tile,
  )
  return jnp.sum(stats.logsumexp * weights), stats
