"""Supervised learning: the loss with smoothed labels, views, and data that do not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax import errors, losses, methods
from contrastive_jax.methods import supervised

K = 4


def loop(logits, label, smoothing):
  """-sum_k q(k) log p(k) with q = (1 - e) [k = y] + e / K (Szegedy et al., 2016, section 7)."""
  total = []
  for x, y in zip(logits.astype(np.float64), label, strict=True):
    log_p = x - np.log(np.sum(np.exp(x)))
    if y >= 0:
      q = (1 - smoothing) * (np.arange(K) == y) + smoothing / K
      total.append(-np.sum(q * log_p))
  return np.mean(total)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_with_smoothed_labels_equals_a_float64_loop(smoothing):
  logits = np.random.default_rng(0).normal(size=(6, K)).astype(np.float32)
  label = np.array([0, 3, -1, 2, 2, 1])
  loss, _ = losses.cross_entropy(jnp.asarray(logits), jnp.asarray(label), smoothing)
  np.testing.assert_allclose(loss, loop(logits, label, smoothing), rtol=1e-5)


class Logits:
  """A network whose output is its input."""

  micro_batches = 1

  def apply(self, variables, folded, train, mutable):
    return {"h": folded[:, 0, 0], "logits": folded[:, 0, 0]}, {}


def test_every_view_is_an_example_of_its_images_label():
  logits = np.random.default_rng(1).normal(size=(3, 2, K)).astype(np.float32)
  label = np.array([1, 0, 3])
  batch = {"views": jnp.asarray(logits)[:, :, None, None], "label": jnp.asarray(label)}
  method = supervised.Method(num_classes=K)
  loss, aux = method.loss(Logits(), {}, {}, {}, batch, jax.random.key(0))
  flat, repeated = logits.reshape(-1, K), label.repeat(2)
  np.testing.assert_allclose(loss, loop(flat, repeated, 0), rtol=1e-5)
  assert aux.metrics["accuracy"] == np.mean(flat.argmax(1) == repeated)
  assert "z" not in aux.features, "labels leave no room for collapse, and two classes look like one"


@pytest.mark.parametrize(
  "classes,line", [(100, "use --config.method.num_classes=100"), (0, "the data has 0 classes")]
)
def test_data_of_other_classes_are_refused(classes, line):
  task = methods.Task(num_images=100, num_classes=classes, batch_size=8, image_size_px=16)
  with pytest.raises(errors.UserError, match=line):
    supervised.Method().init_memory(None, None, task, None)


def test_values_that_cannot_work_are_refused():
  with pytest.raises(errors.UserError, match="label_smoothing 1 is no share"):
    supervised.Method(label_smoothing=1)
  with pytest.raises(errors.UserError, match="num_classes 1 is below 2"):
    supervised.Method(num_classes=1)
