"""The gradient noise scale: known answers, and the gradients that it is made of."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_config import tiny

from contrastive_jax import build, errors, parallel, run_images
from contrastive_jax.data import pipeline
from contrastive_jax.step import inputs as inputs_lib
from contrastive_jax.step import noise
from contrastive_jax.training import trainer

PARTS, PER_PART, BATCHES = 4, 8, 100_000
BATCH = PARTS * PER_PART


def means(gradient):
  """Means of the figures over many batches of a gradient that is a function of the images' mean."""
  x = jax.random.normal(jax.random.key(0), (BATCHES, PARTS, PER_PART)) * 0.5 + 1.0

  def figures(x):
    of_parts = jax.vmap(gradient)(jnp.mean(x, axis=1))
    whole = gradient(jnp.mean(x))
    return noise.summary(jnp.sum(of_parts), jnp.sum(of_parts**2), whole, PARTS, BATCH)

  return {k: float(np.asarray(v, np.float64).mean()) for k, v in jax.vmap(figures)(x).items()}


def test_independent_terms_have_the_noise_of_one_image_and_no_drift():
  found = means(lambda mean: 3.0 - mean)  # of 0.5 (w - x)^2 at w = 3, mean 1, variance 0.25
  wanted = {"noise_signal": 4.0, "noise_trace": 0.25, "noise_whole": 4.0, "noise_cross": 4.0}
  assert found == pytest.approx(wanted, rel=0.01)


def test_terms_that_share_their_batch_are_told_at_its_size():
  """G_b = m^2 + v / b and Var g_b = 4 m^2 v / b + 2 v^2 / b^2 of a normal mean squared."""
  m, v, b = 1.0, 0.25, PER_PART
  found = means(lambda mean: mean**2)
  assert found["noise_signal"] == pytest.approx((m**2 + v / b) ** 2, rel=0.01)
  assert found["noise_trace"] == pytest.approx(4 * m**2 * v + 2 * v**2 / b, rel=0.02)
  assert found["noise_whole"] == pytest.approx((m**2 + v / BATCH) ** 2, rel=0.01)
  # Squared norms at two sizes alone take the drift for noise.
  small = found["noise_signal"] + found["noise_trace"] / b
  large = (m**2 + v / BATCH) ** 2 + 4 * m**2 * v / BATCH + 2 * v**2 / BATCH**2
  by_norms = (small - large) / (1 / b - 1 / BATCH)
  assert by_norms > 1.4 * found["noise_trace"]


@pytest.fixture(scope="module")
def config():
  return tiny(monitor__noise_parts=4)


def plain_gradient(run, state, inputs, seed):
  """Returns the gradient of some rows as a batch of their own, on one device, as leaves."""
  mesh = parallel.make_mesh(jax.devices()[:1])
  key = inputs_lib.method_key(seed, state.step)

  def loss(params, some):
    return run.method.loss(run.net, params, state.stats, state.memory, some, key)[0]

  of = jax.jit(jax.grad(loss))

  def gradient(rows):
    some = parallel.put({k: v[rows] for k, v in inputs.items()}, mesh)
    return jax.tree.leaves(of(state.params, some))

  return gradient


def dot(a, b):
  return sum(float(np.vdot(x, y)) for x, y in zip(a, b, strict=True))


@pytest.fixture(scope="module")
def of_parts(config):
  """A host batch, and the figures from the gradients of its parts, each by itself."""
  source = run_images.source(config, "train")
  run = build.run(config, len(source), source.num_classes, 1)
  host = next(iter(pipeline.train_batches(source, batch_size=16, seed=0)))
  alone = parallel.make_mesh(jax.devices()[:1])
  with parallel.use(alone):
    state = run.init(jax.random.key(0))
    batch = parallel.put(host, alone)
    inputs = inputs_lib.of(run.method, run.recipe, batch, seed=0, epoch=jnp.zeros((), int))
    gradient = plain_gradient(run, state, jax.device_get(inputs), seed=0)
    parts = [gradient(np.arange(part, 16, 4)) for part in range(4)]
    whole = gradient(np.arange(16))
  signal = np.mean([dot(a, b) for a in parts for b in parts if a is not b])
  trace = np.mean([dot(a, a) for a in parts]) - signal
  return host, {
    "noise_signal": signal,
    "noise_trace": 4 * trace,
    "noise_whole": dot(whole, whole) - trace / 4,
    "noise_cross": np.mean([dot(a, whole) for a in parts]) - trace / 4,
  }


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_it_is_made_of_gradients_with_negatives_of_their_own_part(config, of_parts, devices):
  host, wanted = of_parts
  source = run_images.source(config, "train")
  run = build.run(config, len(source), source.num_classes, devices)
  mesh = parallel.make_mesh(jax.devices()[:devices])
  with parallel.use(mesh):
    state = run.init(jax.random.key(0))
    found = jax.jit(run.noise)(state, parallel.put(host, mesh))
  found = {k: float(v) for k, v in found.items()}
  assert found == pytest.approx(wanted, rel=1e-3, abs=1e-4 * abs(wanted["noise_trace"] / 4))


def test_a_run_tells_it_and_is_the_same_run(config, tmp_path):
  devices = jax.devices()[:2]
  config.epochs = 1
  with_noise = trainer.train(config, str(tmp_path / "a"), devices)
  lines = (pathlib.Path(tmp_path) / "a" / "metrics.jsonl").read_text().splitlines()
  keys = {"noise_signal", "noise_trace", "noise_whole", "noise_cross"}
  assert all(keys <= set(json.loads(line)) for line in lines)
  without = trainer.train(tiny(epochs=1), str(tmp_path / "b"), devices)
  for a, b in zip(*(jax.tree.leaves(r.state.params) for r in (with_noise, without)), strict=True):
    assert (np.asarray(a) == np.asarray(b)).all()


@pytest.mark.parametrize("parts", [1, -2, 3, 16])
def test_a_batch_must_divide_into_the_parts(parts):
  with pytest.raises(errors.UserError, match=f"monitor.noise_parts {parts}"):
    noise.check(parts, batch_size=16, bn_groups=1, num_devices=1)
  noise.check(0, batch_size=16, bn_groups=1, num_devices=1)
