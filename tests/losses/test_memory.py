"""What methods remember: order of the queue, averages, and the bank, on one device and on eight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax import errors, parallel
from contrastive_jax.losses import memory


def rows(first, count, dim=3):
  return np.arange(first, first + count, dtype=np.float32)[:, None] * np.ones(dim, np.float32)


def test_a_queue_starts_as_different_unit_vectors():
  q = memory.queue(jax.random.key(0), 64, 16)
  np.testing.assert_allclose(np.linalg.norm(q["keys"], axis=1), 1, rtol=1e-5)
  cosines = np.asarray(q["keys"] @ q["keys"].T)[~np.eye(64, dtype=bool)]
  assert abs(cosines.mean()) < 0.02 and cosines.max() < 0.95
  assert int(q["next"]) == 0


@pytest.mark.parametrize("devices", [1, 8])
def test_the_oldest_keys_leave_the_queue_first(devices):
  mesh = parallel.make_mesh(jax.devices()[:devices])
  with parallel.use(mesh):
    q = parallel.replicate(memory.queue(jax.random.key(0), 24, 3), mesh)
    expected = list(np.asarray(q["keys"]))
    enqueue = jax.jit(memory.enqueue)
    for step in range(5):  # twice round the ring of three batches
      keys = rows(10 * step, 8)
      q = enqueue(q, parallel.put(keys, mesh))
      expected = expected[8:] + list(keys)
      in_order = np.roll(q["keys"], -int(q["next"]), axis=0)  # the row written next is the oldest
      np.testing.assert_array_equal(in_order, expected)
  assert q["keys"].sharding.is_fully_replicated


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("size", [24, 40, 60])
def test_a_batch_that_changes_in_the_middle_of_a_queue_still_replaces_the_oldest(devices, size):
  """The first keys end where no batch of the second size ends: some batch must wrap."""
  mesh = parallel.make_mesh(jax.devices()[:devices])
  with parallel.use(mesh):
    q = parallel.replicate(memory.queue(jax.random.key(0), size, 3), mesh)
    expected, first = list(np.asarray(q["keys"])), 0
    enqueue = jax.jit(memory.enqueue)
    for batch in (8, 8, 16, 16, 16, 24, 24, 8):
      keys = rows(first, batch)
      q, first = enqueue(q, parallel.put(keys, mesh)), first + batch
      expected = (expected + list(keys))[-size:]
      in_order = np.roll(q["keys"], -int(q["next"]), axis=0)
      np.testing.assert_array_equal(in_order, expected)


def test_no_gradient_enters_a_queue():
  q = memory.queue(jax.random.key(0), 8, 3)
  grad = jax.grad(lambda k: memory.enqueue(q, k)["keys"].sum())(jnp.ones((4, 3)))
  assert not np.any(grad)


def test_a_queue_smaller_than_a_batch_names_a_size_that_works():
  with pytest.raises(
    errors.UserError, match="method.queue_size 31 .* batch_size 32; use 32 or mor"
  ):
    memory.check_queue("method.queue_size", 31, 32)
  for size in (32, 47, 100):  # a batch may wrap
    memory.check_queue("method.queue_size", size, 32)


def test_an_average_of_a_constant_approaches_it_geometrically():
  average, value = {"a": jnp.zeros(3), "b": {"c": jnp.ones(2)}}, {"a": jnp.ones(3), "b": {"c": 5.0}}
  for _ in range(20):
    average = memory.ema(average, value, 0.9)
  np.testing.assert_allclose(average["a"], 1 - 0.9**20, rtol=1e-5)
  np.testing.assert_allclose(average["b"]["c"], 5 - 4 * 0.9**20, rtol=1e-5)


def test_an_average_of_equal_values_stays_bit_for_bit():
  """decay a + (1 - decay) a would drift by roundings, step after step."""
  x = np.random.default_rng(0).normal(size=1000).astype(np.float32)
  np.testing.assert_array_equal(memory.ema(jnp.asarray(x), jnp.asarray(x), 0.999), x)


def test_a_target_follows_what_it_has():
  target, params = {"z": jnp.zeros(2)}, {"z": jnp.ones(2), "p": jnp.ones(3)}
  after = memory.follow(target, params, 0.75)
  assert set(after) == {"z"}
  np.testing.assert_allclose(after["z"], 0.25)


def test_the_momentum_rises_along_a_cosine():
  progress = np.asarray([0.0, 0.25, 0.5, 1.0], np.float32)
  wanted = 1 - 0.01 * (np.cos(np.pi * progress) + 1) / 2
  np.testing.assert_allclose(memory.cosine_momentum(0.99, progress), wanted, rtol=1e-6)
  assert memory.cosine_momentum(0.99, jnp.float32(0)) == np.float32(0.99)
  assert memory.cosine_momentum(0.99, jnp.float32(0.5)) == np.float32(0.995)
  assert memory.cosine_momentum(0.99, jnp.float32(1)) == 1
  ends = [float(memory.cosine_momentum(0.99, jnp.float32(p), 0.999)) for p in (0, 0.5, 1)]
  np.testing.assert_allclose(ends, [0.99, 0.9945, 0.999], rtol=1e-6)


def test_a_momentum_out_of_range_is_refused():
  with pytest.raises(errors.UserError, match="method.momentum -0.1 is not a momentum; use 0 to 1"):
    memory.check_momentum(-0.1)


def test_a_bank_starts_as_unit_rows_on_all_sides():
  bank = memory.bank(jax.random.key(0), 400, 8)
  np.testing.assert_allclose(np.linalg.norm(bank, axis=1), 1, rtol=1e-5)
  assert np.abs(np.mean(bank, axis=0)).max() < 0.1  # 400 numbers of std 0.35: 6 errors


@pytest.mark.parametrize("devices", [1, 8])
def test_a_bank_changes_only_the_rows_of_the_batch(devices):
  index = np.asarray([5, 17, 0, 30, 11, 2, 9, 31], np.int32)
  mesh = parallel.make_mesh(jax.devices()[:devices])
  with parallel.use(mesh):
    bank = parallel.replicate(memory.bank(jax.random.key(0), 32, 3), mesh)
    at = parallel.put(index, mesh)
    read = jax.jit(memory.bank_rows)(bank, at)
    after = jax.jit(memory.bank_update)(bank, at, parallel.put(rows(100, 8), mesh))
  np.testing.assert_array_equal(read, np.asarray(bank)[index])
  wanted = np.array(bank)
  wanted[index] = rows(100, 8)
  np.testing.assert_array_equal(after, wanted)
  assert after.sharding.is_fully_replicated
  assert read.sharding.is_fully_replicated == (devices == 1)
