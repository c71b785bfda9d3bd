"""Figures of a collapse: of known embeddings, and the alarms that name them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax import parallel
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


@pytest.mark.parametrize("num_devices", [1, 8])
def test_an_image_that_stands_in_for_others_counts_once(num_devices):
  z = np.random.default_rng(1).normal(size=(24, 2, 5)).astype(np.float32)
  z[:, 0] += 0.5
  index = np.arange(24, dtype=np.int32)
  once = collapse.metrics(jnp.asarray(z[:19]))
  for row in range(19, 24):
    z[row], index[row] = z[3], index[3]
  mesh = parallel.make_mesh(jax.devices()[:num_devices])
  with parallel.use(mesh):
    found = jax.jit(collapse.metrics)(*parallel.put((z, index), mesh))
  for name, value in once.items():
    np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("num_devices", [1, 8])
def test_rows_without_length_are_counted_before_they_are_brought_to_length(num_devices):
  z = np.random.default_rng(2).normal(size=(32, 2, 8)).astype(np.float32)
  z[:5, 0] = 0
  z[5:7, 0] *= 1e-6
  z[7:, 1] = 0  # the second view
  z[10, 0] *= 1e-3  # short, with a direction
  mesh = parallel.make_mesh(jax.devices()[:num_devices])
  with parallel.use(mesh):
    found = jax.jit(collapse.metrics)(*parallel.put((z, np.arange(32, dtype=np.int32)), mesh))
  assert float(found["zeros"]) == 7 / 32


@pytest.mark.parametrize("num_devices", [1, 8])
def test_figures_are_those_of_metrics_where_they_are_due_and_nan_where_not(num_devices):
  z = np.random.default_rng(3).normal(size=(16, 2, 6)).astype(np.float32)
  index = np.arange(16, dtype=np.int32)
  wanted = collapse.metrics(jnp.asarray(z))
  mesh = parallel.make_mesh(jax.devices()[:num_devices])
  with parallel.use(mesh):
    figures = jax.jit(collapse.metrics_if)
    due = figures(True, *parallel.put((z, index), mesh))
    not_due = figures(False, *parallel.put((z, index), mesh))
  for name, value in wanted.items():
    np.testing.assert_allclose(due[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    assert np.isnan(not_due[name])


@pytest.mark.parametrize("num_zeros", [0, 3, 8])
def test_the_mean_cosine_is_that_of_pairs_and_0_where_one_has_no_length(num_zeros):
  z = np.random.default_rng(4).normal(size=(8, 1, 5)).astype(np.float32) + 1
  z[:num_zeros] = 0
  unit = z[:, 0] / np.maximum(np.linalg.norm(z[:, 0], axis=1, keepdims=True), 1e-12)
  pairs = (unit @ unit.T)[~np.eye(8, dtype=bool)]
  found = collapse.metrics(jnp.asarray(z))["cosine"]
  np.testing.assert_allclose(found, pairs.mean(), rtol=1e-5, atol=1e-6)


def test_a_batch_of_one_image_has_figures():
  found = collapse.metrics(jnp.ones((8, 1, 4)), jnp.zeros(8, jnp.int32))
  assert all(np.isfinite(value) for value in found.values())


def test_collapse_alarms_name_the_figure_and_its_limit():
  limits = {"min_std": 0.1, "min_rank": 2.0, "max_cosine": 0.95, "max_zeros": 0.01}
  assert not collapse.alarms({"std": 1.0, "rank": 9.0, "cosine": 0.1, "zeros": 0.0}, **limits)
  bad = {"std": 0.01, "rank": 1.0, "cosine": 0.99, "zeros": 0.5}
  lines = collapse.alarms(bad, **limits)
  assert list(lines) == ["std", "rank", "cosine", "zeros"]
  assert "0.010 < 0.1" in lines["std"]
