"""SwAV: codes and swapped prediction against the paper's formulas, frozen prototypes, the queue."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax import errors, losses, methods, parallel
from contrastive_jax.methods import swav
from contrastive_jax.models import resnet

B, K, EPSILON, TAU = 16, 6, 0.05, 0.1


@pytest.fixture
def scores():
  return np.random.default_rng(0).uniform(-1, 1, (B, K)).astype(np.float32)


def sinkhorn_loop(scores, epsilon, iterations):
  """The authors' pseudo-code (appendix A), in float64: Q is [K, B] and sums to 1."""
  q = np.exp(scores.astype(np.float64) / epsilon).T
  q /= q.sum()
  k, b = q.shape
  for _ in range(iterations):
    for row in range(k):
      q[row] /= q[row].sum() * k
    for column in range(b):
      q[:, column] /= q[:, column].sum() * b
  return (q * b).T


@pytest.mark.parametrize("iterations", [1, 3, 10])
def test_codes_are_those_of_the_papers_pseudo_code(scores, iterations):
  got = swav.sinkhorn(jnp.asarray(scores), EPSILON, iterations)
  np.testing.assert_allclose(got, sinkhorn_loop(scores, EPSILON, iterations), rtol=2e-4, atol=1e-7)


def test_codes_are_distributions_spread_evenly_over_the_prototypes(scores):
  q = np.asarray(swav.sinkhorn(jnp.asarray(scores), 0.5, 100))
  np.testing.assert_allclose(q.sum(axis=1), 1, rtol=1e-5)
  np.testing.assert_allclose(q.sum(axis=0), B / K, rtol=1e-3)


def test_the_codes_of_a_batch_with_a_queue_are_the_last_rows_of_the_whole(scores):
  earlier = np.random.default_rng(1).uniform(-1, 1, (10, K)).astype(np.float32)
  got = swav.sinkhorn(jnp.asarray(scores), EPSILON, 3, jnp.asarray(earlier))
  whole = sinkhorn_loop(np.concatenate([earlier, scores]), EPSILON, 3)
  np.testing.assert_allclose(got, whole[10:], rtol=2e-4, atol=1e-7)
  unused = swav.sinkhorn(jnp.asarray(scores), EPSILON, 3, jnp.full((10, K), -jnp.inf))
  np.testing.assert_allclose(unused, sinkhorn_loop(scores, EPSILON, 3), rtol=2e-4, atol=1e-7)


def test_codes_are_the_same_on_eight_devices_and_carry_no_gradient(scores):
  mesh = parallel.make_mesh()
  with parallel.use(mesh):
    many = jax.jit(lambda s: swav.sinkhorn(s, EPSILON, 3, s[:, ::-1]))(parallel.put(scores, mesh))
  one = swav.sinkhorn(jnp.asarray(scores), EPSILON, 3, jnp.asarray(scores[:, ::-1]))
  np.testing.assert_allclose(many, one, rtol=1e-4, atol=1e-7)
  grad = jax.grad(lambda s: swav.sinkhorn(s, EPSILON, 3).sum())(jnp.asarray(scores))
  assert not np.any(grad)


def test_the_loss_swaps_codes_of_large_crops_with_predictions_of_all_others():
  rng = np.random.default_rng(2)
  logits = rng.normal(size=(4, 5, K)).astype(np.float32)
  q = rng.dirichlet(np.ones(K), (4, 2)).astype(np.float32)
  p = np.exp(logits.astype(np.float64))
  p /= p.sum(axis=-1, keepdims=True)
  total = 0.0
  for s in range(2):
    for v in range(5):
      if v != s:
        total -= np.mean([q[n, s] @ np.log(p[n, v]) for n in range(4)]) / 4
  loss, _ = losses.swapped_prediction(jnp.asarray(logits), jnp.asarray(q))
  np.testing.assert_allclose(loss, total / 2, rtol=1e-5)


def test_even_predictions_cost_the_log_of_the_number_of_prototypes():
  q = jnp.full((3, 2, K), 1 / K)
  loss, metrics = losses.swapped_prediction(jnp.zeros((3, 4, K)), q)
  np.testing.assert_allclose(loss, np.log(K), rtol=1e-6)
  np.testing.assert_allclose(metrics["prototypes_used"], K, rtol=1e-5)


def tiny(**options):
  method = swav.Method(local_views=1, prototypes=K, head_width=8, embedding_size=4, **options)
  net = method.network(resnet.ResNet((1,), resnet.BasicBlock, 8, zero_gamma=False))
  variables = net.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)), train=False)
  task = methods.Task(5 * B, 0, B, 8)
  memory = method.init_memory(net, variables, task, jax.random.key(1))
  views = jax.random.normal(jax.random.key(2), (B, 3, 8, 8, 3))
  batch = {"views": views[:, :2], "local_views": views[:, 2:, :6, :6]}

  @jax.jit
  def loss(params, memory):
    return method.loss(net, params, variables["batch_stats"], memory, batch, jax.random.key(3))

  return method, variables["params"], memory, loss


def test_prototypes_are_frozen_for_the_first_steps_alone_and_stay_unit_vectors():
  method, params, memory, loss = tiny(freeze_steps=3)
  for step in range(5):
    grads, _ = jax.grad(loss, has_aux=True)(params, memory | {"step": step})
    assert np.any(grads["prototypes"]["kernel"]) == (step >= 3)
    assert np.any(grads["z"]["dense1"]["kernel"])
  assert method.update_memory(memory, params, None, 0)["step"] == 1
  for kernel in (params, method.constrain(jax.tree.map(lambda x: 3 * x, params))):
    length = np.linalg.norm(kernel["prototypes"]["kernel"], axis=0)
    np.testing.assert_allclose(length, 1, rtol=1e-5)


def test_a_queue_that_the_devices_do_not_divide_gives_the_same_codes(scores):
  method = swav.Method(queue_size=20, queue_from_epoch=0, embedding_size=4, prototypes=K)
  memory = method.init_memory(None, {}, methods.Task(5 * B, 0, B, 8), jax.random.key(1))
  c = swav.unit_columns(jax.random.normal(jax.random.key(2), (4, K)))

  def codes(memory, c, scores):
    return swav.sinkhorn(scores, EPSILON, 3, method._queue_scores(memory, 0, c))

  alone = codes(memory, c, scores)
  mesh = parallel.make_mesh()  # 8 devices
  with parallel.use(mesh):
    spread = jax.jit(codes)(*parallel.replicate((memory, c), mesh), parallel.put(scores, mesh))
  np.testing.assert_allclose(spread, alone, rtol=1e-4, atol=1e-6)


def test_the_queue_begins_in_the_epoch_of_the_run_as_it_is_now():
  method, _, memory, _ = tiny(queue_size=2 * B, queue_from_epoch=2, freeze_steps=3)
  assert method.resume(memory, memory | {"queue_from": 4})["queue_from"] == 4
  assert method.resume({"step": 1}, {"step": 0}) == {"step": 1}  # without a queue
  assert [steps for _, steps in method.frozen(None)] == [3]


def test_the_queue_counts_from_its_epoch_on_and_holds_the_large_crops():
  method, params, memory, loss = tiny(queue_size=2 * B, queue_from_epoch=2)
  assert memory["queue_from"] == 10  # five steps an epoch
  early, aux = loss(params, memory | {"step": 9})
  late, _ = loss(params, memory | {"step": 10})
  assert abs(early - late) > 1e-6
  plain = tiny()
  np.testing.assert_allclose(plain[3](plain[1], plain[2])[0], early, rtol=1e-5)
  new = method.update_memory(memory, params, aux.carry, 0)
  for view in range(2):
    np.testing.assert_array_equal(new["queues"][view]["keys"][:B], aux.carry[:, view])


def test_the_defaults_are_the_papers_and_bad_values_are_named():
  m = swav.Method()
  assert (m.num_views, m.num_local_views, m.prototypes, m.temperature) == (2, 6, 3000, TAU)
  assert (m.epsilon, m.sinkhorn_iterations, m.freeze_steps) == (EPSILON, 3, 313)
  with pytest.raises(errors.UserError, match="epsilon 0 is outside .*; the paper uses 0.05"):
    swav.Method(epsilon=0)
  with pytest.raises(errors.UserError, match="prototypes 1 is below 2"):
    swav.Method(prototypes=1)
