"""DINO: its loss against the paper's formula, and what stands still, warms up and follows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax import errors, methods
from contrastive_jax.losses import memory
from contrastive_jax.methods import dino
from contrastive_jax.models import resnet

B, K, D, L = 8, 6, 4, 2
STEPS = 5  # in an epoch


@pytest.fixture(scope="module")
def run():
  return Run()


class Run:
  """A tiny DINO whose teacher is another network, and its loss as a function."""

  def __init__(self, **options):
    self.method = dino.Method(local_views=L, outputs=K, head_width=8, embedding_size=D, **options)
    usual = {"zero_gamma": False, "weight_init": "torch"}
    self.net = self.method.network(resnet.ResNet((1,), resnet.BasicBlock, 8, **usual))
    image = jnp.zeros((1, 8, 8, 3))
    variables, other = (self.net.init(jax.random.key(i), image, train=False) for i in (0, 1))
    self.params, self.stats = variables["params"], variables["batch_stats"]
    task = methods.Task(STEPS * B, 0, B, 8)
    self.memory = self.method.init_memory(self.net, other, task, jax.random.key(1))
    self.memory["center"] = jnp.linspace(-0.1, 0.1, K)
    views = jax.random.normal(jax.random.key(2), (B, 2 + L, 8, 8, 3))
    self.batch = {"views": views[:, :2], "local_views": views[:, 2:, :6, :6]}
    self.loss = jax.jit(self._loss)

  def _loss(self, params, memory):
    key = jax.random.key(3)
    return self.method.loss(self.net, params, self.stats, memory, self.batch, key)

  def logits(self, params):
    """Of all four views, each size in a pass of its own; the head has no batch norm."""
    out = []
    for views in self.batch.values():
      ends, _ = methods.forward(self.net, params, self.stats, views)
      z, w = (np.asarray(x, np.float64) for x in (ends["z"], params["last"]["kernel"]))
      z /= np.linalg.norm(z, axis=-1, keepdims=True)
      out.append(z @ (w / np.linalg.norm(w, axis=0)))
    return out


def softmax(x):
  e = np.exp(x)
  return e / e.sum(axis=-1, keepdims=True)


def test_the_loss_is_algorithm_1_over_all_pairs_of_different_crops(run):
  student = np.concatenate(run.logits(run.params), axis=1)
  teacher = run.logits(run.memory["target"])[0]
  center = np.asarray(run.memory["center"], np.float64)
  for step, tau_t in ((0, 0.04), (77, 0.04 + 0.03 * 15 / 29), (145, 0.07), (400, 0.07)):
    t, s = softmax((teacher - center) / tau_t), softmax(student / 0.1)
    pairs = [(i, j) for i in range(2) for j in range(2 + L) if j != i]
    wanted = np.mean([-(t[:, i] * np.log(s[:, j])).sum(axis=-1).mean() for i, j in pairs])
    loss, aux = run.loss(run.params, run.memory | {"step": step})
    np.testing.assert_allclose(loss, wanted, rtol=1e-4)
  np.testing.assert_allclose(aux.carry, teacher.mean((0, 1)), atol=1e-5)


def test_the_last_layer_stands_still_for_the_first_epoch_alone(run):
  for step in (0, STEPS - 1, STEPS, 3 * STEPS):
    grads, _ = jax.grad(run.loss, has_aux=True)(run.params, run.memory | {"step": step})
    assert np.any(grads["last"]["kernel"]) == (step >= STEPS)
    assert np.any(grads["z"]["dense1"]["kernel"])


@pytest.mark.parametrize("warmup", [0, 1, 2, 30])
def test_the_teachers_temperature_is_the_released_codes_in_every_epoch(warmup):
  start, end, epochs = 0.04, 0.07, 35
  published = [*np.linspace(start, end, warmup), *np.full(epochs - warmup, end)]
  method = dino.Method(teacher_warmup_epochs=float(warmup))
  found = [method._teacher_temperature(jnp.asarray(epoch)) for epoch in range(epochs)]
  np.testing.assert_allclose(found, published, rtol=1e-6)


def test_an_epoch_is_that_of_the_run_as_it_is_now(run):
  """With a batch of another size a run that goes on has other epochs than its checkpoint says."""
  task = methods.Task(3 * STEPS * B, 0, B, 8)
  init = {"params": run.params}
  fresh = run.method.init_memory(run.net, init, task, jax.random.key(1))
  memory = run.method.resume(run.memory | {"step": 7}, fresh)
  assert (int(memory["steps_per_epoch"]), memory["step"]) == (3 * STEPS, 7)
  assert memory["target"] is run.memory["target"] and set(memory) == set(run.memory)
  assert run.method.frozen(task) == (("(^|/)last/", 3 * STEPS),)


def test_no_gradient_reaches_teacher_or_center(run):
  grads = jax.grad(lambda m: run.loss(run.params, m)[0], allow_int=True)(run.memory)
  for leaf in jax.tree.leaves((grads["target"], grads["center"])):
    assert not np.any(leaf)


def test_the_length_of_the_last_layers_weights_does_not_matter(run):
  longer = run.params | {"last": jax.tree.map(lambda w: 7 * w, run.params["last"])}
  a, b = (run.loss(p, run.memory)[0] for p in (run.params, longer))
  np.testing.assert_allclose(a, b, rtol=1e-5)


def test_teacher_and_center_follow(run):
  carry = jnp.arange(K, dtype=jnp.float32)
  new = run.method.update_memory(run.memory, run.params, carry, jnp.asarray(0.3))
  np.testing.assert_allclose(new["center"], 0.9 * run.memory["center"] + 0.1 * carry, rtol=1e-5)
  m = float(memory.cosine_momentum(0.996, 0.3))
  assert 0.996 < m < 1
  old, online = run.memory["target"]["last"]["kernel"], run.params["last"]["kernel"]
  np.testing.assert_allclose(new["target"]["last"]["kernel"], m * old + (1 - m) * online, atol=1e-6)
  assert new["step"] == run.memory["step"] + 1
  end = run.method.update_memory(run.memory, run.params, carry, jnp.asarray(1.0))
  jax.tree.map(np.testing.assert_array_equal, end["target"], run.memory["target"])


def test_the_heads_batch_norm_sees_crops_of_both_sizes_together():
  run = Run(head_bn=True)
  h, _, stats = methods.base.forward_crops(run.net, run.params, run.stats, run.batch)
  assert h.shape[:2] == (B, 2 + L)
  dense = run.params["z"]["dense1"]
  mean = np.asarray(h @ dense["kernel"]).mean((0, 1))
  np.testing.assert_allclose(stats["z"]["norm1"]["mean"], 0.1 * mean, rtol=1e-4, atol=1e-6)


def test_the_defaults_are_the_papers_and_bad_values_are_named():
  m = dino.Method()
  assert (m.num_local_views, m.outputs, m.student_temperature) == (8, 65536, 0.1)
  assert (m.teacher_start, m.teacher_temperature, m.freeze_epochs) == (0.04, 0.07, 1)
  assert (m.center_momentum, m.momentum) == (0.9, 0.996)
  for options, message in (
    ({"teacher_start": 0.0}, "teacher_start 0.0 is outside 0.001 to 1000; the paper uses 0.04"),
    ({"center_momentum": 1.0}, "center_momentum 1.0 would not follow"),
    ({"freeze_epochs": -1.0}, "freeze_epochs -1.0 is below 0"),
  ):
    with pytest.raises(errors.UserError, match=message):
      dino.Method(**options)
