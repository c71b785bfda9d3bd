"""The linear probe that SGD trains, on features and through a frozen encoder."""

import dataclasses

import jax
import nets
import numpy as np
import pytest
from classes import CLASSES, EIGHT, ONE, data, softmax_gradient

from contrastive_jax import augment, errors, keys, parallel
from contrastive_jax.data import pipeline
from contrastive_jax.evaluation import (
  features,
  held_out,
  linear_probe,
  linear_rates,
  logistic,
  probe_batches,
  scores,
)
from contrastive_jax.evaluation.own_rows import OwnRows

# The optimiser alone, for so many epochs, on features as they are.
PLAIN = {"min_steps": 0, "standardize": False}
# From the host batch by batch, and once.
IN_BOTH_WAYS = pytest.mark.parametrize("most_bytes", [0, 2**30])


def sgd(batches, dim, options, steps_per_epoch, start=0.0):
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
    grads = list(softmax_gradient(kernel, bias, x.astype(np.float64), label))
    grads[0] += options.weight_decay * kernel
    velocity = [options.momentum * v + g for v, g in zip(velocity, grads, strict=True)]
    if options.nesterov:
      grads = [g + options.momentum * v for v, g in zip(velocity, grads, strict=True)]
    else:
      grads = velocity
    kernel, bias = kernel - rate * grads[0], bias - rate * grads[1]
  return kernel, bias


def in_order(x, label, options, seed):
  steps = len(x) // options.batch_size * options.epochs
  for step in range(steps):
    sizes = {"num_images": len(x), "batch_size": options.batch_size}
    at = pipeline.positions(step, seed=seed, name="sort", **sizes)
    yield x[at], label[at]


@IN_BOTH_WAYS
@pytest.mark.parametrize("num_devices", [1, 8])
@pytest.mark.parametrize(
  "changes",
  [
    {"nesterov": True, "schedule": "cosine", "weight_decay": 0.0},
    {"nesterov": True, "schedule": "cosine", "weight_decay": 0.0, "batch_size": 19},
    {"nesterov": False, "schedule": "step", "step_epochs": (2, 3), "weight_decay": 0.1},
  ],
)
def test_sgd_agrees_with_a_loop_in_float64_on_any_devices(
  changes, num_devices, most_bytes, monkeypatch
):
  monkeypatch.setattr(linear_probe, "_ON_DEVICES_BYTES", most_bytes)
  monkeypatch.setattr(probe_batches, "at_once", lambda *_: 8)  # 8, 8 and 4 of the 20 steps
  x, label = data()
  options = linear_probe.Options(
    **PLAIN | {"base_lr": 2.0, "batch_size": 16, "epochs": 4} | changes
  )
  mesh = parallel.make_mesh(jax.devices()[:num_devices])
  kernel, bias = linear_probe.fit(x, label, CLASSES, options, mesh, seed=7)
  steps = len(x) // options.batch_size
  expected = sgd(in_order(x, label, options, 7), x.shape[1], options, steps)
  assert np.abs(expected[0]).max() > 0.1
  # 20 steps of float32 rounding.
  np.testing.assert_allclose(kernel, expected[0], rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(bias, expected[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_lies_on_the_devices_is_counted_in_float32_and_taken_without_a_copy(
  dtype, monkeypatch
):
  x, label = data()
  options, put, replicate = linear_probe.Options(batch_size=16), [], parallel.replicate
  monkeypatch.setattr(
    parallel, "replicate", lambda tree, mesh: put.append(tree) or replicate(tree, mesh)
  )
  for most_bytes in (4 * x.size, 4 * x.size - 1):
    monkeypatch.setattr(linear_probe, "_ON_DEVICES_BYTES", most_bytes)
    *_, batches, _ = linear_probe.batches_of(OwnRows(x.astype(dtype)), label, options, ONE, 0)
    assert (next(batches)[0] is not None) == (most_bytes >= 4 * x.size)
  assert [rows.dtype for rows in put] == [np.float32]
  assert put[0].ctypes.data % 64 == 0, "the address of an array that XLA takes as it is"


@IN_BOTH_WAYS
def test_standardised_sgd_is_sgd_on_standardised_features(most_bytes, monkeypatch):
  monkeypatch.setattr(linear_probe, "_ON_DEVICES_BYTES", most_bytes)
  x, label = data()
  x[:, 2] = 3.0  # constant: its variance is nothing to divide by
  options = linear_probe.Options(
    base_lr=2.0, batch_size=16, epochs=2, min_steps=0, standardize=True
  )
  kernel, bias = linear_probe.fit(x, label, CLASSES, options, ONE)
  std = x.std(0, dtype=np.float64)
  std[2] = 1
  scaled = (x - x.mean(0, dtype=np.float64)) / std
  expected = sgd(in_order(scaled, label, options, 0), x.shape[1], options, 5)
  logits = x @ kernel + bias
  # 10 steps of float32 rounding, times 1 / std of up to 10.
  np.testing.assert_allclose(logits, scaled @ expected[0] + expected[1], rtol=1e-3, atol=1e-4)


def test_progress_is_called_once_for_every_step(monkeypatch):
  monkeypatch.setattr(probe_batches, "at_once", lambda *_: 8)
  x, label = data()
  seen = []
  options = linear_probe.Options(**PLAIN, base_lr=2.0, batch_size=16, epochs=4)
  linear_probe.fit(x, label, CLASSES, options, ONE, progress=lambda *values: seen.append(values))
  assert [step for step, _, _ in seen] == list(range(1, 21))
  assert {total for _, total, _ in seen} == {20}
  assert seen[0][2] == pytest.approx(np.log(CLASSES))  # all classes alike at the start
  assert seen[-1][2] < seen[0][2]


def test_random_start_has_the_asked_spread():
  x, label = data(dim=400)
  options = linear_probe.Options(**PLAIN, base_lr=1e-9, batch_size=80, epochs=1, init_std=0.01)
  kernel, bias = linear_probe.fit(x, label, CLASSES, options, ONE)
  assert abs(kernel.std() - 0.01) < 0.001  # 1600 draws: 2 % standard error
  np.testing.assert_allclose(bias, 0, atol=1e-8)


class Source:
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
  module = nets.Endpoints()
  variables = nets.random_variables(module, np.zeros((1, 8, 8, 3)))
  frozen = {"params": variables["params"], "stats": variables["batch_stats"]}
  return features.OfNet(module, ("h",)), frozen


VIEW = augment.recipe("simclr", size_px=8)


def features_of(encoder, source):
  batches = pipeline.eval_batches(source, batch_size=16)
  return features.collect(*encoder, batches, view=VIEW, mesh=ONE).layers["h"]


@pytest.mark.parametrize(
  "mesh, standardize, batch_size",
  [(ONE, True, 16), (EIGHT, False, 13)],  # filled up to 16
  ids=["1", "8"],
)
def test_the_encoder_is_frozen_and_in_evaluation_mode(encoder, mesh, standardize, batch_size):
  # Views of a plain image are that image: training through the encoder must equal training on
  # its features, which batch norm in training mode or a moving weight would break.
  source = Source(40, plain=True)
  clean = features_of(encoder, source)
  before = jax.tree.map(np.copy, encoder[1])
  options = linear_probe.Options(
    base_lr=2.0, batch_size=batch_size, epochs=3, min_steps=0, standardize=standardize
  )
  through = linear_probe.fit_augmented(
    *(encoder[0], "h", encoder[1], source, CLASSES, options, mesh),
    view=VIEW,
    clean=clean,
    seed=3,
    pipeline_options={"order_name": "sort"},
  )
  jax.tree.map(np.testing.assert_array_equal, encoder[1], before)
  cached = linear_probe.fit(clean, source.labels, CLASSES, options, ONE, seed=3)
  assert np.abs(cached[0]).max() > 0.05
  for a, b in zip(through, cached, strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)  # resizing adds float32 rounding


def test_every_epoch_shows_new_crops(encoder):
  source = Source(16, plain=False)
  options = linear_probe.Options(**PLAIN, base_lr=2.0, batch_size=16, epochs=3, schedule="step")
  found = linear_probe.fit_augmented(
    *(encoder[0], "h", encoder[1], source, CLASSES, options, ONE),
    view=VIEW,
    clean=features_of(encoder, source),
    seed=3,
  )

  @jax.jit
  def seen(key):
    image, extent = source.images, np.full((16, 2), 8)
    return encoder[0](encoder[1], augment.probe_view(VIEW, key, image, extent))["h"]

  key = keys.stream(3, "probe views")
  per_epoch = [np.asarray(seen(jax.random.fold_in(key, epoch))) for epoch in range(3)]
  assert np.abs(per_epoch[0] - per_epoch[1]).max() > 0.01
  expected = sgd(((x, source.labels) for x in per_epoch), 5, options, 1)
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
    ({"batch_size": 0}, "linear_sgd.batch_size 0 is below 1; use 1 or more"),
    ({"rates": (0.1, -1.0)}, "linear_sgd.rates -1.0 is not positive; use e.g. 0.1"),
    ({"min_steps": -1}, "linear_sgd.min_steps -1 is negative; use 0 or more"),
    ({"validation_fraction": 1.0}, "linear_sgd.validation_fraction 1.0 is outside (0, 1)"),
    (
      {**PLAIN, "base_lr": 1e30, "batch_size": 80},
      "the linear probe diverged at step 2 with linear_sgd",
    ),
  ],
)
def test_sgd_errors_name_value_limit_and_remedy(options, line):
  x, label = data()
  with pytest.raises(errors.UserError) as caught:
    linear_probe.fit(1e10 * x, label, CLASSES, linear_probe.Options(**options), EIGHT)
  assert line in str(caught.value)


def scaled_classes(n, seed=0, dim=16):
  """Classes that a linear probe can tell, in features whose scales span four decades."""
  rng = np.random.default_rng(seed)
  label = rng.integers(0, CLASSES, n).astype(np.int32)
  centre = np.random.default_rng(5).normal(size=(CLASSES, dim))
  x = (0.7 * centre[label] + rng.normal(size=(n, dim))) * np.geomspace(0.01, 100, dim)
  return (x + np.geomspace(0.02, 200, dim)).astype(np.float32), label


def top1(classifier, x, label):
  return scores.of_linear(*classifier, x, label, ONE).top1


@pytest.mark.parametrize("num_labels", [90, 400])
def test_with_few_labels_both_linear_probes_agree(num_labels):
  x, label = scaled_classes(num_labels)
  unseen = scaled_classes(2000, seed=1)
  options = linear_probe.Options()
  rate, found = linear_rates.choose(x, label, CLASSES, options, ONE)
  options = dataclasses.replace(options, base_lr=rate)
  sgd_top1 = top1(linear_probe.fit(x, label, CLASSES, options, ONE), *unseen)
  lbfgs_top1 = top1(logistic.fit(x, label, CLASSES, logistic.Options(), ONE).classifier, *unseen)
  assert set(found) == set(options.rates)
  assert lbfgs_top1 > 0.8
  assert abs(sgd_top1 - lbfgs_top1) < 0.05  # SGD has no penalty: 0.036 with 90 labels


def test_the_rates_tried_at_once_are_those_tried_one_by_one():
  x, label = scaled_classes(200)
  options = linear_probe.Options(rates=(1e-4, 30.0), min_steps=20, epochs=1, batch_size=16)
  _, found = linear_rates.choose(x, label, CLASSES, options, EIGHT, seed=3)
  fitted, unseen = held_out.split(200, options.validation_fraction, 3, "linear_sgd", "")
  for rate, share in found.items():
    one = dataclasses.replace(options, base_lr=rate)
    one = linear_probe.fit(x[fitted], label[fitted], CLASSES, one, ONE, seed=3)
    assert share == pytest.approx(top1(one, x[unseen], label[unseen]), abs=1.5 / len(unseen))
  assert found[30.0] != found[1e-4]


def test_a_rate_that_diverges_is_not_chosen():
  x, label = scaled_classes(200)
  options = linear_probe.Options(rates=(1e37, 1e-20), standardize=False, min_steps=20, epochs=1)
  rate, found = linear_rates.choose(1e8 * x, label, CLASSES, options, ONE)
  assert rate == 1e-20 and found[1e37] == 0


def test_one_rate_holds_nothing_out():
  options = linear_probe.Options(rates=(), base_lr=0.7)
  assert linear_rates.choose(*scaled_classes(2), CLASSES, options, ONE) == (0.7, {})
