"""Figures of a collapse: of known embeddings, and the alarms that name them."""

import jax.numpy as jnp
import numpy as np

from contrastive_jax.step import collapse


def test_collapse_figures_of_known_embeddings():
  rng = np.random.default_rng(0)
  even = rng.normal(size=(4096, 1, 16)).astype(np.float32)
  found = collapse.metrics(jnp.asarray(even))
  np.testing.assert_allclose(found["std"], 1, atol=0.02)
  np.testing.assert_allclose(found["rank"], 16, rtol=0.02)
  np.testing.assert_allclose(found["cosine"], 0, atol=0.01)
  point = collapse.metrics(jnp.ones((64, 1, 16)))
  np.testing.assert_allclose([point["std"], point["cosine"]], [0, 1], atol=1e-3)
  line = np.outer(rng.choice([-1.0, 1.0], 64), np.ones(16))[:, None].astype(np.float32)
  np.testing.assert_allclose(collapse.metrics(jnp.asarray(line))["rank"], 1, rtol=1e-3)


def test_collapse_alarms_name_the_figure_and_its_limit():
  limits = {"min_std": 0.1, "min_rank": 2.0, "max_cosine": 0.95}
  assert not collapse.alarms({"std": 1.0, "rank": 9.0, "cosine": 0.1}, **limits)
  lines = collapse.alarms({"std": 0.01, "rank": 1.0, "cosine": 0.99}, **limits)
  assert list(lines) == ["std", "rank", "cosine"]
  assert "0.010 < 0.1" in lines["std"]
