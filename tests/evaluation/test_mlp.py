"""The perceptron against NumPy in float64, and what it finds where a linear probe finds nothing."""

import numpy as np
import pytest
import scipy.special
from classes import CLASSES, EIGHT, ONE, data

from contrastive_jax import errors
from contrastive_jax.data import pipeline
from contrastive_jax.evaluation import mlp, transformation


def options(**changes):
  return transformation.Options(
    **{"hidden_size": 5, "rates": (1e-2,), "steps": 3, "batch_size": 16} | changes
  )


def trained_in_numpy(x, label, asked):
  """Adam (Kingma and Ba, 2015, algorithm 1) at a rate that falls along half a cosine."""
  x = x.astype(np.float64)
  x = (x - x.mean(0)) / x.std(0)
  started = mlp.start(x.shape[1], CLASSES, asked, seed=0)
  weights = [np.float64(layer[part]) for layer in started for part in ("kernel", "bias")]
  first, second = ([np.zeros_like(w) for w in weights] for _ in range(2))
  for step in range(asked.steps):
    sizes = {"num_images": len(x), "batch_size": asked.batch_size}
    kept = pipeline.positions(step, seed=0, name="sort", **sizes)
    below = x[kept] @ weights[0] + weights[1]
    hidden = np.maximum(below, 0)
    error = scipy.special.softmax(hidden @ weights[2] + weights[3], axis=1)
    error[np.arange(len(kept)), label[kept]] -= 1
    error /= len(kept)
    inner = (error @ weights[2].T) * (below > 0)
    grads = (x[kept].T @ inner, inner.sum(0), hidden.T @ error, error.sum(0))
    rate = asked.rates[0] * (1 + np.cos(np.pi * step / asked.steps)) / 2
    for i, grad in enumerate(grads):
      first[i] = 0.9 * first[i] + 0.1 * grad
      second[i] = 0.999 * second[i] + 0.001 * grad**2
      mean, square = first[i] / (1 - 0.9 ** (step + 1)), second[i] / (1 - 0.999 ** (step + 1))
      weights[i] = weights[i] - rate * mean / (np.sqrt(square) + 1e-8)
  return np.maximum(x @ weights[0] + weights[1], 0) @ weights[2] + weights[3]


@pytest.mark.parametrize("mesh", [ONE, EIGHT], ids=["one", "eight"])
def test_it_is_trained_as_in_numpy(mesh):
  x, label = data()
  found = mlp.fit(x, label, CLASSES, options(), mesh)
  assert (found.rate, found.validation) == (1e-2, {})
  expected = trained_in_numpy(x, label, options())
  np.testing.assert_allclose(mlp.logits(found.weights, x), expected, rtol=1e-3, atol=1e-3)


def test_it_finds_what_no_linear_classifier_does():
  x = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
  label = (x[:, 0] * x[:, 1] > 0).astype(np.int32)
  asked = {"hidden_size": 16, "rates": (3e-2,), "steps": 150, "batch_size": 128}
  deep, linear = (
    mlp.top1(mlp.fit(x, label, 2, options(**asked, hidden_layers=n), ONE).weights, x, label, 2, ONE)
    for n in (1, 0)
  )
  assert deep > 0.9 and linear < 0.65


def test_the_rate_is_the_one_that_is_best_on_what_was_held_out():
  x, label = data(n=120)
  rates = (1e-9, 1e-2, 1e30)  # nothing learnt; some; diverged
  found = mlp.fit(x, label, CLASSES, options(rates=rates, steps=40), ONE)
  assert found.rate == 1e-2 and found.validation[1e-2] > found.validation[1e-9]
  assert set(found.validation) == {1e-9, 1e-2}
  alone = mlp.fit(x, label, CLASSES, options(rates=rates[:2], steps=40), ONE)
  assert alone.validation == {rate: found.validation[rate] for rate in rates[:2]}


def test_what_cannot_be_trained_is_said():
  x, label = data(n=40)
  with pytest.raises(errors.UserError, match=r"diverged with transformation.rates 1e\+30; lower"):
    mlp.fit(x, label, CLASSES, options(rates=(1e30,)), ONE)
  with pytest.raises(errors.UserError, match=r"or transformation.rates=\(1e-3,\)"):
    mlp.fit(x, label, CLASSES, options(rates=(1e-3, 1e-2), validation_fraction=0.01), ONE)
  x[3, 0] = np.nan
  with pytest.raises(errors.UserError, match="1 of 40 rows is not finite"):
    mlp.fit(x, label, CLASSES, options(), ONE)
