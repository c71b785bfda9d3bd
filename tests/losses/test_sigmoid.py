"""Sums of softplus over a similarity matrix: every form is a loop in float64, on any devices."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rows import problem

from contrastive_jax import parallel
from contrastive_jax.losses import sigmoid
from contrastive_jax.plan import hlo

M, K = 24, 16
ROW_IDS, COLUMN_IDS = np.arange(M, dtype=np.int32) % 20, np.arange(K, dtype=np.int32)
WEIGHTS = np.linspace(-1, 2, M, dtype=np.float32)
SCALE, BIAS = np.float32(3.0), np.float32(-1.5)


def weighted(q, k, scale, bias, q_id, k_id, weights, form, tile=5):
  """A scalar with a gradient in everything, and what was gathered."""
  sums = sigmoid.row_sums(q, k, scale, bias, q_id, k_id, implementation=form, tile=tile)
  return jnp.sum(sums.total * weights), sums


STEP = jax.jit(
  jax.value_and_grad(weighted, argnums=(0, 1, 2, 3), has_aux=True), static_argnums=(7, 8)
)


def oracle(q, k, scale, bias, q_id, k_id, weights):
  """Pair by pair in float64: the weighted sum, its four gradients, totals and largest logits."""
  q, k, scale, bias = (np.asarray(x, np.float64) for x in (q, k, scale, bias))
  total, top = np.zeros(len(q)), np.full(len(q), -np.inf)
  dq, dk, d_scale, d_bias = np.zeros_like(q), np.zeros_like(k), 0.0, 0.0
  for i, j in np.ndindex(len(q), len(k)):
    if q_id[i] != k_id[j]:
      s = scale * (q[i] @ k[j]) + bias
      slope = weights[i] / (1 + np.exp(-s))
      total[i] += np.log1p(np.exp(s))
      top[i] = max(top[i], s)
      dq[i] += slope * scale * k[j]
      dk[j] += slope * scale * q[i]
      d_scale += slope * (q[i] @ k[j])
      d_bias += slope
  return (np.sum(total * weights), (total, top)), (dq, dk, d_scale, d_bias)


def run(form, devices, tile=5):
  q, k = problem(M, K)
  mesh = devices and parallel.make_mesh(jax.devices()[:devices])
  with parallel.use(mesh) if mesh else contextlib.nullcontext():
    put = (lambda x: parallel.put(x, mesh)) if mesh else (lambda x: x)
    q, k, q_id, k_id, weights = put((q, k, ROW_IDS, COLUMN_IDS, WEIGHTS))
    return STEP, (q, k, SCALE, BIAS, q_id, k_id, weights, form, tile), mesh


@pytest.mark.parametrize(
  "form, devices, tile",
  [("dense", 0, 5), ("tiled", 0, 5), ("tiled", 1, 100), ("tiled", 2, 5), ("dense", 8, 5)]
  + [("ring", devices, 2) for devices in (0, 1, 2, 8)],
)
def test_value_and_gradient_are_a_float64_loops(form, devices, tile):
  step, arguments, mesh = run(form, devices, tile)
  with parallel.use(mesh) if mesh else contextlib.nullcontext():
    found = jax.device_get(step(*arguments))
  wanted = oracle(*problem(M, K), SCALE, BIAS, ROW_IDS, COLUMN_IDS, WEIGHTS)
  for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("form", ["tiled", "ring"])
def test_in_a_ring_columns_go_from_device_to_device_and_nothing_is_gathered(form):
  step, arguments, mesh = run(form, 8, 2)
  with parallel.use(mesh):
    text = step.lower(*arguments).compile().as_text()
  found = {c.kind for c in hlo.collectives(text, 8)}
  assert ("all-gather" in found) == (form == "tiled")
  assert ("collective-permute" in found) == (form == "ring")


def test_tiles_need_no_memory_of_the_size_of_the_matrix():
  rows = jax.ShapeDtypeStruct((4096, 16), jnp.float32)
  number, ids = jax.ShapeDtypeStruct((), jnp.float32), jax.ShapeDtypeStruct((4096,), jnp.int32)
  weights = jax.ShapeDtypeStruct((4096,), jnp.float32)

  def temporary_bytes(form):
    lowered = STEP.lower(rows, rows, number, number, ids, ids, weights, form, 256)
    return lowered.compile().memory_analysis().temp_size_in_bytes

  assert temporary_bytes("tiled") < 4 * 4096**2 / 8 < temporary_bytes("dense")


@pytest.mark.parametrize("form", ["dense", "tiled", "ring"])
def test_of_a_row_without_columns_the_sum_is_zero_and_so_is_the_gradient(form):
  q, _ = problem(6, 1)
  same = np.zeros(6, np.int32)
  (value, sums), grads = STEP(q, q, SCALE, BIAS, same, same, np.ones(6, np.float32), form, 4)
  assert value == 0 and not np.any(sums.total)
  assert all(not np.any(g) for g in grads)


@pytest.mark.parametrize("form", ["dense", "tiled"])
def test_logits_that_overflow_exp_add_themselves(form):
  q, k = problem(8, 8)
  ids = np.arange(8, dtype=np.int32)
  sums = sigmoid.row_sums(q, k, np.float32(1e3), np.float32(0), ids, ids + 8, implementation=form)
  wanted = np.sum(np.maximum(1e3 * (q.astype(np.float64) @ k.T), 0), axis=1)
  np.testing.assert_allclose(sums.total, wanted, rtol=1e-4)
