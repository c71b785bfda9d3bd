"""MoCo v1 and v2 against their equations in float64, and what they remember."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from contrastive_jax import errors, losses, methods, models
from contrastive_jax.losses import memory
from contrastive_jax.methods import moco

B, D, K = 8, 5, 16
TASK = methods.Task(num_images=64, num_classes=0, batch_size=B, image_size_px=2)


def infonce_loop(q, positive, negatives, tau):
  """MoCo eq. 1, query by query: one positive and a list of negatives for each."""
  total = 0.0
  for i in range(len(q)):
    top = np.exp(q[i] @ positive[i] / tau)
    total -= np.log(top / (top + sum(np.exp(q[i] @ n / tau) for n in negatives[i])))
  return total / len(q)


def entropy_loop(q, positive, negatives, tau):
  """Of each query's softmax over its positive and its negatives, mean over the queries."""
  total = 0.0
  for i in range(len(q)):
    p = np.exp(np.stack([positive[i], *negatives[i]]) @ q[i] / tau)
    p /= p.sum()
    total -= np.sum(p * np.log(p))
  return total / len(q)


def random_units(rng, *shape):
  return toys.unit(rng.normal(size=shape))


@pytest.mark.parametrize("tau", [0.07, 0.2, 1.0])
def test_infonce_equals_equation_1(tau):
  rng = np.random.default_rng(0)
  q, k, queue = (random_units(rng, n, D) for n in (B, B, K))
  loss, metrics = losses.infonce(*(jnp.asarray(x, jnp.float32) for x in (q, k, queue)), tau)
  np.testing.assert_allclose(loss, infonce_loop(q, k, [queue] * B, tau), rtol=1e-5)
  wins = np.sum(q * k, axis=1) > (q @ queue.T).max(axis=1)
  assert 0 < wins.sum() < B, "the example must have both"
  np.testing.assert_allclose(metrics["contrastive_accuracy"], wins.mean())
  entropy = entropy_loop(q, k, [queue] * B, tau)
  np.testing.assert_allclose(metrics["contrastive_entropy"], entropy, rtol=1e-5)


def test_a_positive_among_the_columns_counts_once():
  rng = np.random.default_rng(1)
  q, columns = random_units(rng, B, D), random_units(rng, K, D)
  index = rng.permutation(K)[:B]
  others = [np.delete(columns, i, axis=0) for i in index]
  args = (jnp.asarray(x, jnp.float32) for x in (q, columns[index], columns))
  loss, metrics = losses.infonce(*args, 0.3, jnp.asarray(index), jnp.arange(K))
  np.testing.assert_allclose(loss, infonce_loop(q, columns[index], others, 0.3), rtol=1e-5)
  entropy = entropy_loop(q, columns[index], others, 0.3)
  np.testing.assert_allclose(metrics["contrastive_entropy"], entropy, rtol=1e-5)


def test_equal_vectors_give_the_log_of_the_number_of_columns():
  one = jnp.ones((B, D)) / np.sqrt(D)
  loss, metrics = losses.infonce(one, one, jnp.ones((K, D)) / np.sqrt(D), 0.2)
  np.testing.assert_allclose(loss, np.log(K + 1), rtol=1e-6)
  assert metrics["contrastive_accuracy"] == 0


def problem(groups=1, **options):
  method = moco.Method(queue_size=K, embedding_size=D, **options)
  net = method.network(toys.Backbone(bn_groups=groups))
  params, stats = toys.start(net)
  target, _ = toys.start(net, seed=1)
  remembered = {"target": target, "queue": memory.queue(jax.random.key(2), K, D)}
  return method, net, params, stats, remembered, {"views": jnp.asarray(toys.views(B))}


def embedding(params, views, subset):
  """Of MoCo's head, which has no batch norm: linear, or linear, ReLU, linear."""
  return toys.unit(toys.mlp(params["z"], toys.h(params, views, subset), subset))


@pytest.mark.parametrize("head", ["mlp", "linear"])
@pytest.mark.parametrize("groups", [1, 4])
def test_the_loss_is_one_sided_with_blocks_for_queries_and_shuffled_groups_for_keys(groups, head):
  method, net, params, stats, remembered, batch = problem(groups, head=head)
  views, example = np.asarray(batch["views"]), np.arange(B)
  q = embedding(params, views[:, 0], example // (B // groups))
  k = embedding(remembered["target"], views[:, 1], example % groups)
  queue = np.asarray(remembered["queue"]["keys"], np.float64)
  loss, aux = method.loss(net, params, stats, remembered, batch, None)
  np.testing.assert_allclose(loss, infonce_loop(q, k, [queue] * B, 0.2), rtol=1e-4)
  np.testing.assert_allclose(aux.carry[:, 0], k, rtol=1e-4, atol=1e-5)
  assert aux.features["z"].shape == (B, 1, D)


def test_without_a_queue_the_batchs_other_keys_are_the_negatives():
  method, net, params, stats, remembered, batch = problem()
  method = dataclasses.replace(method, queue_size=0)
  views, together = np.asarray(batch["views"]), np.zeros(B, int)
  q = embedding(params, views[:, 0], together)
  k = embedding(remembered["target"], views[:, 1], together)
  loss, aux = method.loss(net, params, stats, {"target": remembered["target"]}, batch, None)
  others = [np.delete(k, image, 0) for image in range(B)]
  np.testing.assert_allclose(loss, infonce_loop(q, k, others, 0.2), rtol=1e-4)
  assert method.update_memory({"target": params}, params, aux.carry, 0.0).keys() == {"target"}


def test_a_symmetric_loss_is_the_mean_of_both_ways_with_a_queue_for_each():
  method, net, params, stats, remembered, batch = problem()
  swapped = {"views": batch["views"][:, ::-1]}
  remembered["second_queue"] = memory.queue(jax.random.key(5), K, D)
  other = remembered | {"queue": remembered["second_queue"]}
  one_way, aux = method.loss(net, params, stats, remembered, batch, None)
  other_way, other_aux = method.loss(net, params, stats, other, swapped, None)
  both = dataclasses.replace(method, symmetric=True)
  net = both.network(toys.Backbone())
  loss, aux_of_both = both.loss(net, params, stats, remembered, batch, None)
  np.testing.assert_allclose(loss, (one_way + other_way) / 2, rtol=1e-5)
  wanted = jnp.concatenate([aux.carry, other_aux.carry], axis=1)
  np.testing.assert_allclose(aux_of_both.carry, wanted, rtol=1e-4, atol=1e-5)
  after = both.update_memory(remembered, params, aux_of_both.carry, 0.0)
  for name, carry in (("queue", aux.carry), ("second_queue", other_aux.carry)):
    np.testing.assert_allclose(after[name]["keys"][:B], carry[:, 0], rtol=1e-4, atol=1e-5)
  variables = {"params": params, "batch_stats": stats}
  start = both.init_memory(net, variables, TASK, jax.random.key(0))
  assert np.abs(start["queue"]["keys"] - start["second_queue"]["keys"]).max() > 0.1


def test_the_momentum_can_rise_while_training_goes_on():
  method, _, params, _, remembered, _ = problem(momentum=0.5, final_momentum=0.9)
  k = jnp.zeros((B, 1, D))
  for progress, m in ((0.0, 0.5), (0.5, 0.7), (1.0, 0.9)):
    after = method.update_memory(remembered, params, k, jnp.float32(progress))["target"]
    wanted = jax.tree.map(lambda t, p, m=m: m * t + (1 - m) * p, remembered["target"], params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), after, wanted)


def test_statistics_are_those_of_the_queries():
  method, net, params, stats, remembered, batch = problem()
  _, aux = method.loss(net, params, stats, remembered, batch, None)
  kernel = params["backbone"]["dense"]["kernel"]
  mean = (np.asarray(batch["views"])[:, 0].reshape(B, -1) @ kernel).mean(0)
  wanted = 0.9 * stats["backbone"]["norm"]["mean"] + 0.1 * mean
  np.testing.assert_allclose(aux.stats["backbone"]["norm"]["mean"], wanted, rtol=1e-4, atol=1e-5)


def test_keys_enter_the_queue_and_the_target_follows_the_new_parameters():
  method, _, params, _, remembered, _ = problem(momentum=0.9)
  k = jnp.asarray(random_units(np.random.default_rng(3), B, D), jnp.float32)
  after = method.update_memory(remembered, params, k[:, None], 0.5)
  np.testing.assert_array_equal(after["queue"]["keys"][:B], k)
  np.testing.assert_array_equal(after["queue"]["keys"][B:], remembered["queue"]["keys"][B:])
  wanted = jax.tree.map(lambda t, p: 0.9 * t + 0.1 * p, remembered["target"], params)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), after["target"], wanted
  )


def test_the_target_starts_as_a_copy_and_the_queue_as_unit_noise():
  method, net, params, stats, *_ = problem()
  start = method.init_memory(net, {"params": params, "batch_stats": stats}, TASK, jax.random.key(0))
  jax.tree.map(np.testing.assert_array_equal, start["target"], params)
  assert start["queue"]["keys"].shape == (K, D)
  np.testing.assert_allclose(np.linalg.norm(start["queue"]["keys"], axis=1), 1, rtol=1e-5)


def test_the_figures_are_those_of_the_papers():
  m = moco.Method()
  assert (m.temperature, m.queue_size, m.momentum, m.embedding_size) == (0.2, 65_536, 0.999, 128)
  for head, parameters in (
    ("mlp", 2048 * 2048 + 2048 + 2048 * 128 + 128),
    ("linear", 2048 * 128 + 128),
  ):
    fc = moco.Method(head=head).network(models.backbone("resnet50")).heads[0].module
    shapes = jax.eval_shape(lambda fc=fc: fc.init(jax.random.key(0), jnp.zeros((1, 2048)), False))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == parameters


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"temperature": 0}, "temperature 0 is outside"),
    ({"head": "deep"}, "head 'deep' is unknown; use one of mlp, linear"),
    ({"momentum": 1.5}, "momentum 1.5 is not a momentum"),
    ({"momentum": 0.9, "final_momentum": 0.5}, "final_momentum 0.5 must be between .* 0.9 and 1"),
  ],
)
def test_a_value_out_of_range_is_refused(options, message):
  with pytest.raises(errors.UserError, match=message):
    moco.Method(**options)


def test_a_queue_smaller_than_a_batch_is_refused():
  method = moco.Method(queue_size=7)
  with pytest.raises(errors.UserError, match="method.queue_size 7 .* batch_size 8; use 8 or more"):
    method.init_memory(None, {"params": {}}, TASK, jax.random.key(0))
