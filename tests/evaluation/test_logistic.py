"""Logistic regression against another solver, in NumPy and float64."""

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from classes import CLASSES, EIGHT, ONE, data, softmax_gradient

from contrastive_jax import errors
from contrastive_jax.evaluation import logistic


def penalised(x, label, penalty):
  """Minimises the objective of `logistic` in NumPy; returns its value, kernel and bias."""
  x = x.astype(np.float64)

  def objective(flat):
    w = flat.reshape(-1, CLASSES)
    logits = x @ w[:-1] + w[-1]
    loss = scipy.special.logsumexp(logits, axis=1) - logits[np.arange(len(x)), label]
    grads = softmax_gradient(w[:-1], w[-1], x, label)
    value = loss.mean() + penalty / 2 / len(x) * np.sum(w[:-1] ** 2)
    return value, np.concatenate([grads[0] + penalty / len(x) * w[:-1], grads[1][None]]).ravel()

  start = np.zeros((x.shape[1] + 1) * CLASSES)
  found = scipy.optimize.minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-9})
  weights = found.x.reshape(-1, CLASSES)
  return found.fun, weights[:-1], weights[-1]


@pytest.mark.parametrize("penalty", [1e-1, 10.0])
@pytest.mark.parametrize("standardize", [False, True])
def test_logistic_finds_the_minimum_that_another_solver_finds(penalty, standardize):
  x, label = data()
  options = logistic.Options(
    penalty, penalty, num_penalties=1, standardize=standardize, float64=True
  )
  found = logistic.fit(x, label, CLASSES, options, EIGHT)
  assert found.penalty == penalty and found.validation == {}
  std = x.std(0, dtype=np.float64) if standardize else 1.0
  _, kernel, bias = penalised((x - x.mean(0, dtype=np.float64)) / std, label, penalty)
  expected = x @ (kernel / std[:, None] if standardize else kernel)
  expected = (
    expected
    + bias
    - x.mean(0, dtype=np.float64) @ (kernel / std[:, None] if standardize else kernel)
  )
  logits = x @ found.classifier[0] + found.classifier[1]
  logits -= logits.mean(1, keepdims=True)  # a bias common to all classes is free
  expected -= expected.mean(1, keepdims=True)
  np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)  # returned as float32


@pytest.mark.parametrize("float64, gradient", [(True, 1e-8), (False, 1e-4)])
def test_the_gradient_at_the_minimum_is_zero(float64, gradient):
  x, label = data()
  problem = logistic.Problem(x, label, CLASSES, EIGHT, float64=float64)
  start = np.zeros((7, CLASSES))
  weights = problem.solve(0.5, start, 500)
  grads = softmax_gradient(weights[:-1], weights[-1], x.astype(np.float64), label)
  assert np.abs(softmax_gradient(start[:-1], start[-1], x, label)[0]).max() > 0.1
  assert np.abs(grads[0] + 0.5 / len(x) * weights[:-1]).max() < gradient
  assert np.abs(grads[1]).max() < gradient
  value, _ = problem.value_and_grad(weights, 0.5)
  np.testing.assert_allclose(value, penalised(x, label, 0.5)[0], rtol=1e-6)


def test_closed_form_of_one_binary_feature():
  # Without a penalty the model gives each value of the feature its own class frequencies.
  x = np.repeat([[0.0], [1.0]], [10, 20], axis=0).astype(np.float32)
  label = np.array([0] * 7 + [1] * 3 + [0] * 5 + [1] * 15, np.int32)
  options = logistic.Options(1e-6, 1e-6, num_penalties=1, float64=True)
  kernel, bias = logistic.fit(x, label, 2, options, ONE).classifier
  p = scipy.special.softmax(np.array([[0.0], [1.0]]) @ kernel + bias, axis=1)
  np.testing.assert_allclose(p[:, 0], [0.7, 0.25], atol=1e-5)  # of the penalty


def test_a_strong_penalty_leaves_the_class_frequencies():
  x, label = data()
  options = logistic.Options(1e9, 1e9, num_penalties=1, float64=True)
  kernel, bias = logistic.fit(x, label, CLASSES, options, ONE).classifier
  np.testing.assert_allclose(kernel, 0, atol=1e-6)
  p = scipy.special.softmax(bias.astype(np.float64))
  np.testing.assert_allclose(p, np.bincount(label) / len(label), atol=1e-5)


def test_chunks_and_devices_change_nothing(monkeypatch):
  x, label = data()
  weights = np.random.default_rng(0).normal(size=(7, CLASSES))
  value, grad = logistic.Problem(x, label, CLASSES, ONE).value_and_grad(weights, 0.3)
  monkeypatch.setattr(logistic, "_CHUNK", 33)
  for mesh in (ONE, EIGHT):
    again = logistic.Problem(x, label, CLASSES, mesh).value_and_grad(weights, 0.3)
    np.testing.assert_allclose(again[0], value, rtol=1e-6)  # float32 sums of 80 rows
    np.testing.assert_allclose(again[1], grad, rtol=1e-5, atol=1e-7)


def test_the_penalty_is_chosen_on_what_was_held_out_and_all_is_fitted_again():
  x, label = data(n=120, dim=40, noise=2.0)  # few examples, many features: it pays to shrink
  options = logistic.Options(1e-6, 1e4, num_penalties=6, validation_fraction=0.25, float64=True)
  found = logistic.fit(x, label, CLASSES, options, ONE, seed=1)
  assert list(found.validation) == pytest.approx([1e4, 1e2, 1, 1e-2, 1e-4, 1e-6])
  assert found.validation[found.penalty] == max(found.validation.values())
  assert 1 <= found.penalty <= 1e4
  alone = logistic.Options(found.penalty, found.penalty, num_penalties=1, float64=True)
  again = logistic.fit(x, label, CLASSES, alone, ONE)
  for a, b in zip(found.classifier, again.classifier, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)  # same minimum from another start


def test_principal_axes_turn_without_stretching_and_drop_what_does_not_vary():
  x = data()[0]
  x = x - x.mean(0)
  x = np.concatenate([x, x[:, :1]], axis=1)  # one direction is empty
  axes, squares = logistic.principal_axes(x)
  assert axes.shape == (7, 6)
  np.testing.assert_allclose(axes.T @ axes, np.eye(6), atol=1e-6)
  covariance = (x @ axes).T @ (x @ axes)
  np.testing.assert_allclose(squares, np.diag(covariance) / len(x), rtol=1e-4)
  np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-4)


def test_principal_axes_of_few_examples_hold_all_of_them():
  """More features than examples: the axes come from the smaller of the two Gram matrices."""
  x = np.random.default_rng(0).normal(size=(5, 12)) * np.geomspace(1e-3, 10, 12)
  x = (x - x.mean(0)).astype(np.float32)
  axes, squares = logistic.principal_axes(x)
  assert axes.shape == (12, 4)  # the mean took one direction
  np.testing.assert_allclose(axes.T @ axes, np.eye(4), atol=1e-6)
  np.testing.assert_allclose(x @ axes @ axes.T, x, atol=1e-5)
  np.testing.assert_allclose(squares, np.square(x @ axes).mean(0), rtol=1e-3)


@pytest.mark.parametrize(
  "options, line",
  [
    ({"min_penalty": 0.0}, "linear_lbfgs.min_penalty 0.0 is not in (0, max_penalty 100000.0]"),
    ({"num_penalties": 0}, "linear_lbfgs.num_penalties 0 is below 1; use 1 or more"),
    ({"max_iterations": 0}, "linear_lbfgs.max_iterations 0 is below 1; use 1 or more"),
    ({"validation_fraction": 1.0}, "linear_lbfgs.validation_fraction 1.0 is outside (0, 1)"),
    ({"validation_fraction": 1e-3}, "validation_fraction 0.001 of 80 examples holds out 0; give"),
  ],
)
def test_logistic_errors_name_value_limit_and_remedy(options, line):
  x, label = data()
  with pytest.raises(errors.UserError) as caught:
    logistic.fit(x, label, CLASSES, logistic.Options(**options), ONE)
  assert line in str(caught.value)
