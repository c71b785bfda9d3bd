"""The two linear probes against solvers written out in NumPy float64."""

import jax
import numpy as np
import pytest
import scipy.optimize
import scipy.special
from flax import linen as nn

from contrastive_jax import augment, errors, keys, parallel
from contrastive_jax.data import pipeline
from contrastive_jax.evaluation import features, linear_probe, logistic, scores
from contrastive_jax.models import norm

ONE = parallel.make_mesh(jax.devices()[:1])
EIGHT = parallel.make_mesh()
CLASSES = 4


def _data(n=80, dim=6, noise=1.0):
  rng = np.random.default_rng(3)
  centre = rng.normal(size=(CLASSES, dim))
  label = rng.integers(0, CLASSES, n).astype(np.int32)
  mixing = np.linalg.qr(rng.normal(size=(dim, dim)))[0] * np.geomspace(1, 0.1, dim)
  x = (centre[label] + noise * rng.normal(size=(n, dim))) @ mixing + 0.5
  return x.astype(np.float32), label


def _softmax_gradient(kernel, bias, x, label):
  p = scipy.special.softmax(x @ kernel + bias, axis=1)
  p[np.arange(len(x)), label] -= 1
  return x.T @ p / len(x), p.mean(0)


def _sgd(batches, dim, options, steps_per_epoch, start=0.0):
  """SGD with momentum as PyTorch has it: the learning rate outside the buffer."""
  kernel, bias = np.zeros((dim, CLASSES)) + start, np.zeros(CLASSES)
  velocity = [0.0, 0.0]
  total = options.epochs * steps_per_epoch
  for step, (x, label) in enumerate(batches):
    rate = options.base_lr * options.batch_size / 256
    if options.schedule == "cosine":
      rate *= (1 + np.cos(np.pi * step / total)) / 2
    else:
      rate *= 0.1 ** sum(step >= epoch * steps_per_epoch for epoch in options.step_epochs)
    grads = list(_softmax_gradient(kernel, bias, x.astype(np.float64), label))
    grads[0] += options.weight_decay * kernel
    velocity = [options.momentum * v + g for v, g in zip(velocity, grads, strict=True)]
    if options.nesterov:
      grads = [g + options.momentum * v for v, g in zip(velocity, grads, strict=True)]
    else:
      grads = velocity
    kernel, bias = kernel - rate * grads[0], bias - rate * grads[1]
  return kernel, bias


def _in_order(x, label, options, seed):
  steps = len(x) // options.batch_size * options.epochs
  for step in range(steps):
    at = pipeline.positions(step, num_images=len(x), batch_size=options.batch_size, seed=seed)
    yield x[at], label[at]


@pytest.mark.parametrize("num_devices", [1, 8])
@pytest.mark.parametrize(
  "changes",
  [
    {"nesterov": True, "schedule": "cosine", "weight_decay": 0.0},
    {"nesterov": False, "schedule": "step", "step_epochs": (2, 3), "weight_decay": 0.1},
  ],
)
def test_sgd_agrees_with_a_loop_in_float64_on_any_devices(changes, num_devices, monkeypatch):
  monkeypatch.setattr(linear_probe, "_STEPS_AT_ONCE", 8)  # 8, 8 and 4 of the 20 steps
  x, label = _data()
  options = linear_probe.Options(base_lr=2.0, batch_size=16, epochs=4, **changes)
  mesh = parallel.make_mesh(jax.devices()[:num_devices])
  kernel, bias = linear_probe.fit(x, label, CLASSES, options, mesh, seed=7)
  expected = _sgd(_in_order(x, label, options, 7), x.shape[1], options, 5)
  assert np.abs(expected[0]).max() > 0.1
  # 20 steps of float32 rounding.
  np.testing.assert_allclose(kernel, expected[0], rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(bias, expected[1], rtol=1e-4, atol=1e-5)


def test_standardised_sgd_is_sgd_on_standardised_features():
  x, label = _data()
  x[:, 2] = 3.0  # constant: its variance is nothing to divide by
  options = linear_probe.Options(base_lr=2.0, batch_size=16, epochs=2, standardize=True)
  kernel, bias = linear_probe.fit(x, label, CLASSES, options, ONE)
  std = x.std(0, dtype=np.float64)
  std[2] = 1
  scaled = (x - x.mean(0, dtype=np.float64)) / std
  expected = _sgd(_in_order(scaled, label, options, 0), x.shape[1], options, 5)
  logits = x @ kernel + bias
  # 10 steps of float32 rounding, times 1 / std of up to 10.
  np.testing.assert_allclose(logits, scaled @ expected[0] + expected[1], rtol=1e-3, atol=1e-4)


def test_progress_is_called_once_for_every_step(monkeypatch):
  monkeypatch.setattr(linear_probe, "_STEPS_AT_ONCE", 8)
  x, label = _data()
  seen = []
  options = linear_probe.Options(base_lr=2.0, batch_size=16, epochs=4)
  linear_probe.fit(x, label, CLASSES, options, ONE, progress=lambda *values: seen.append(values))
  assert [step for step, _, _ in seen] == list(range(1, 21))
  assert {total for _, total, _ in seen} == {20}
  assert seen[0][2] == pytest.approx(np.log(CLASSES))  # all classes alike at the start
  assert seen[-1][2] < seen[0][2]


def test_random_start_has_the_asked_spread():
  x, label = _data(dim=400)
  options = linear_probe.Options(base_lr=1e-9, batch_size=80, epochs=1, init_std=0.01)
  kernel, bias = linear_probe.fit(x, label, CLASSES, options, ONE)
  assert abs(kernel.std() - 0.01) < 0.001  # 1600 draws: 2 % standard error
  np.testing.assert_allclose(bias, 0, atol=1e-8)


class TinyNet(nn.Module):
  @nn.compact
  def __call__(self, x, train):
    x = norm.BatchNorm()(nn.Conv(5, (3, 3))(x), train)
    return {"h": nn.tanh(x).mean((1, 2))}


class _Source:
  """Images of one colour each (`plain`), which crop and flip do not change, or of noise."""

  num_classes, label_names, factors, native_size_px = CLASSES, (), {}, 8

  def __init__(self, n, plain):
    rng = np.random.default_rng(1)
    self.images = rng.integers(0, 256, (n, 1, 1, 3) if plain else (n, 8, 8, 3), np.uint8)
    self.images = np.broadcast_to(self.images, (n, 8, 8, 3))
    self.labels = rng.integers(0, CLASSES, n)

  def __len__(self):
    return len(self.images)

  def __getitem__(self, i):
    return {"image": self.images[i], "label": int(self.labels[i]), "index": i}


@pytest.fixture(scope="module")
def encoder():
  """An encoder with batch statistics that no batch has, and its variables."""
  variables = TinyNet().init(jax.random.key(0), np.zeros((1, 8, 8, 3)), train=False)
  variables = jax.device_get(variables)
  rng = np.random.default_rng(5)
  stats = jax.tree.map(lambda x: rng.uniform(0.1, 0.5, x.shape).astype(x.dtype), variables)
  frozen = {"params": variables["params"], "stats": stats["batch_stats"]}
  return features.OfNet(TinyNet(), ("h",)), frozen


VIEW = augment.recipe("simclr", size_px=8)


def _clean(encoder, source):
  batches = pipeline.eval_batches(source, batch_size=16)
  return features.collect(*encoder, batches, view=VIEW, mesh=ONE).layers["h"]


@pytest.mark.parametrize("mesh, standardize", [(ONE, True), (EIGHT, False)], ids=["1", "8"])
def test_the_encoder_is_frozen_and_in_evaluation_mode(encoder, mesh, standardize):
  # Views of a plain image are that image: training through the encoder must equal training on
  # its features, which batch norm in training mode or a moving weight would break.
  source = _Source(40, plain=True)
  clean = _clean(encoder, source)
  before = jax.tree.map(np.copy, encoder[1])
  options = linear_probe.Options(base_lr=2.0, batch_size=16, epochs=3, standardize=standardize)
  through = linear_probe.fit_augmented(
    encoder[0], "h", encoder[1], source, CLASSES, options, mesh, view=VIEW, clean=clean, seed=3
  )
  jax.tree.map(np.testing.assert_array_equal, encoder[1], before)
  cached = linear_probe.fit(clean, source.labels, CLASSES, options, ONE, seed=3)
  assert np.abs(cached[0]).max() > 0.05
  for a, b in zip(through, cached, strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)  # resizing adds float32 rounding


def test_every_epoch_shows_new_crops(encoder):
  source = _Source(16, plain=False)
  options = linear_probe.Options(base_lr=2.0, batch_size=16, epochs=3, schedule="step")
  found = linear_probe.fit_augmented(
    *(encoder[0], "h", encoder[1], source, CLASSES, options, ONE),
    view=VIEW,
    clean=_clean(encoder, source),
    seed=3,
  )

  @jax.jit
  def seen(key):
    image, extent = source.images, np.full((16, 2), 8)
    return encoder[0](encoder[1], augment.probe_view(VIEW, key, image, extent))["h"]

  key = keys.stream(3, "probe views")
  per_epoch = [np.asarray(seen(jax.random.fold_in(key, epoch))) for epoch in range(3)]
  assert np.abs(per_epoch[0] - per_epoch[1]).max() > 0.01
  expected = _sgd(((x, source.labels) for x in per_epoch), 5, options, 1)
  for a, b in zip(found, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)  # float32 features and 3 steps


@pytest.mark.parametrize(
  "options, line",
  [
    ({"epochs": 0}, "linear_sgd.epochs 0 is below 1; use 1 or more"),
    ({"base_lr": 0.0}, "linear_sgd.base_lr 0.0 is not positive; use e.g. 0.1"),
    ({"weight_decay": -1.0}, "linear_sgd.weight_decay -1.0 is negative; use 0 or more"),
    ({"momentum": 1.0}, "linear_sgd.momentum 1.0 is outside [0, 1); use e.g. 0.9"),
    ({"schedule": "linear"}, 'linear_sgd.schedule "linear" is unknown; use cosine or step'),
    ({"batch_size": 4}, "linear_sgd.batch_size 4 is not divisible by 8 devices; use 8"),
    ({"batch_size": 88}, "linear_sgd.batch_size 88 exceeds the 80 images of the set; use 80"),
    ({"base_lr": 1e30, "batch_size": 80}, "the linear probe diverged at step 2 with linear_sgd"),
  ],
)
def test_sgd_errors_name_value_limit_and_remedy(options, line):
  x, label = _data()
  with pytest.raises(errors.UserError) as caught:
    linear_probe.fit(1e10 * x, label, CLASSES, linear_probe.Options(**options), EIGHT)
  assert line in str(caught.value)


def _penalised(x, label, penalty):
  """Minimises the objective of `logistic` in NumPy; returns its value, kernel and bias."""
  x = x.astype(np.float64)

  def objective(flat):
    w = flat.reshape(-1, CLASSES)
    logits = x @ w[:-1] + w[-1]
    loss = scipy.special.logsumexp(logits, axis=1) - logits[np.arange(len(x)), label]
    grads = _softmax_gradient(w[:-1], w[-1], x, label)
    value = loss.mean() + penalty / 2 / len(x) * np.sum(w[:-1] ** 2)
    return value, np.concatenate([grads[0] + penalty / len(x) * w[:-1], grads[1][None]]).ravel()

  start = np.zeros((x.shape[1] + 1) * CLASSES)
  found = scipy.optimize.minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-9})
  weights = found.x.reshape(-1, CLASSES)
  return found.fun, weights[:-1], weights[-1]


@pytest.mark.parametrize("penalty", [1e-1, 10.0])
@pytest.mark.parametrize("standardize", [False, True])
def test_logistic_finds_the_minimum_that_another_solver_finds(penalty, standardize):
  x, label = _data()
  options = logistic.Options(
    penalty, penalty, num_penalties=1, standardize=standardize, float64=True
  )
  found = logistic.fit(x, label, CLASSES, options, EIGHT)
  assert found.penalty == penalty and found.validation == {}
  std = x.std(0, dtype=np.float64) if standardize else 1.0
  _, kernel, bias = _penalised((x - x.mean(0, dtype=np.float64)) / std, label, penalty)
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
  x, label = _data()
  problem = logistic.Problem(x, label, CLASSES, EIGHT, float64=float64)
  start = np.zeros((7, CLASSES))
  weights = problem.solve(0.5, start, 500)
  grads = _softmax_gradient(weights[:-1], weights[-1], x.astype(np.float64), label)
  assert np.abs(_softmax_gradient(start[:-1], start[-1], x, label)[0]).max() > 0.1
  assert np.abs(grads[0] + 0.5 / len(x) * weights[:-1]).max() < gradient
  assert np.abs(grads[1]).max() < gradient
  value, _ = problem.value_and_grad(weights, 0.5)
  np.testing.assert_allclose(value, _penalised(x, label, 0.5)[0], rtol=1e-6)


def test_closed_form_of_one_binary_feature():
  # Without a penalty the model gives each value of the feature its own class frequencies.
  x = np.repeat([[0.0], [1.0]], [10, 20], axis=0).astype(np.float32)
  label = np.array([0] * 7 + [1] * 3 + [0] * 5 + [1] * 15, np.int32)
  options = logistic.Options(1e-6, 1e-6, num_penalties=1, float64=True)
  kernel, bias = logistic.fit(x, label, 2, options, ONE).classifier
  p = scipy.special.softmax(np.array([[0.0], [1.0]]) @ kernel + bias, axis=1)
  np.testing.assert_allclose(p[:, 0], [0.7, 0.25], atol=1e-5)  # of the penalty


def test_a_strong_penalty_leaves_the_class_frequencies():
  x, label = _data()
  options = logistic.Options(1e9, 1e9, num_penalties=1, float64=True)
  kernel, bias = logistic.fit(x, label, CLASSES, options, ONE).classifier
  np.testing.assert_allclose(kernel, 0, atol=1e-6)
  p = scipy.special.softmax(bias.astype(np.float64))
  np.testing.assert_allclose(p, np.bincount(label) / len(label), atol=1e-5)


def test_chunks_and_devices_change_nothing(monkeypatch):
  x, label = _data()
  weights = np.random.default_rng(0).normal(size=(7, CLASSES))
  value, grad = logistic.Problem(x, label, CLASSES, ONE).value_and_grad(weights, 0.3)
  monkeypatch.setattr(logistic, "_CHUNK", 33)
  for mesh in (ONE, EIGHT):
    again = logistic.Problem(x, label, CLASSES, mesh).value_and_grad(weights, 0.3)
    np.testing.assert_allclose(again[0], value, rtol=1e-6)  # float32 sums of 80 rows
    np.testing.assert_allclose(again[1], grad, rtol=1e-5, atol=1e-7)


def test_the_penalty_is_chosen_on_what_was_held_out_and_all_is_fitted_again():
  x, label = _data(n=120, dim=40, noise=2.0)  # few examples, many features: it pays to shrink
  options = logistic.Options(1e-6, 1e4, num_penalties=6, validation_fraction=0.25, float64=True)
  found = logistic.fit(x, label, CLASSES, options, ONE, seed=1)
  assert list(found.validation) == pytest.approx([1e4, 1e2, 1, 1e-2, 1e-4, 1e-6])
  assert found.validation[found.penalty] == max(found.validation.values())
  assert 1 <= found.penalty <= 1e4
  alone = logistic.Options(found.penalty, found.penalty, num_penalties=1, float64=True)
  again = logistic.fit(x, label, CLASSES, alone, ONE)
  for a, b in zip(found.classifier, again.classifier, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)  # same minimum from another start


def test_held_out_examples_are_not_fitted():
  fitted, held_out = logistic._split(50, 0.2, 0)
  assert sorted([*fitted, *held_out]) == list(range(50))
  assert len(held_out) == 10
  assert not np.array_equal(held_out, logistic._split(50, 0.2, 1)[1])


def test_principal_axes_turn_without_stretching_and_drop_what_does_not_vary():
  x = _data()[0]
  x = x - x.mean(0)
  axes = logistic.principal_axes(np.concatenate([x, x[:, :1]], axis=1))  # one direction is empty
  assert axes.shape == (7, 6)
  np.testing.assert_allclose(axes.T @ axes, np.eye(6), atol=1e-6)
  turned = np.concatenate([x, x[:, :1]], axis=1) @ axes
  covariance = turned.T @ turned
  np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-4)


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
  x, label = _data()
  with pytest.raises(errors.UserError) as caught:
    logistic.fit(x, label, CLASSES, logistic.Options(**options), ONE)
  assert line in str(caught.value)


def test_a_linear_classifier_is_scored_chunk_by_chunk(monkeypatch):
  monkeypatch.setattr(scores, "_CHUNK", 24)
  x, label = _data()
  rng = np.random.default_rng(2)
  kernel, bias = rng.normal(size=(6, 9)).astype(np.float32), rng.normal(size=9).astype(np.float32)
  found = scores.of_linear(kernel, bias, x, label, EIGHT)
  order = np.argsort(-(x @ kernel + bias), axis=1)
  assert found.top1 == pytest.approx(np.mean(order[:, 0] == label))
  assert found.top5 == pytest.approx(
    np.mean([y in o[:5] for o, y in zip(order, label, strict=True)])
  )
  assert 0 < found.top1 < found.top5 < 1
  for c in range(CLASSES):
    assert found.per_class[c] == pytest.approx(np.mean(order[label == c, 0] == c))
  assert found.per_class[CLASSES:] == (None,) * 5
