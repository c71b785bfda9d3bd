"""InstDisc against the paper's estimates in float64, its bank and its constant Z."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from contrastive_jax import errors, methods
from contrastive_jax.losses import memory
from contrastive_jax.methods import instdisc

B, D, N, K = 8, 5, 32, 6
INDEX = np.asarray([3, 30, 7, 0, 12, 19, 31, 8], np.int32)
ONE_GROUP = np.zeros(B, int)
TASK = methods.Task(num_images=N, num_classes=0, batch_size=B, image_size_px=2)


def units(seed, *shape):
  return toys.unit(np.random.default_rng(seed).normal(size=shape))


def nce_loop(v, own, noise, n, tau, z):
  """Section 3.2, image by image: log h of the row itself and log(1 - h) of k rows of noise."""
  total, k = 0.0, noise.shape[1]
  for i in range(len(v)):
    p = np.exp(v[i] @ own[i] / tau) / z
    total -= np.log(p / (p + k / n))
    for row in noise[i]:
      p = np.exp(v[i] @ row / tau) / z
      total -= np.log(1 - p / (p + k / n))
  return total / len(v)


@pytest.mark.parametrize("tau", [0.07, 0.5])
def test_nce_equals_a_float64_loop(tau):
  v, own, noise = units(0, B, D), units(1, B, D), units(2, B, K, D)
  args = [jnp.asarray(x, jnp.float32) for x in (v, own, noise)]
  loss, _, z = instdisc.nce(*args, N, tau, jnp.float32(70.0))
  np.testing.assert_allclose(loss, nce_loop(v, own, noise, N, tau, 70.0), rtol=1e-4)
  assert z == 70.0, "Z stays what it is"


def test_z_is_first_n_times_the_mean_over_all_columns_of_the_batch():
  tau = 0.3
  v, own, noise = units(0, B, D), units(1, B, D), units(2, B, K, D)
  s = np.concatenate([np.sum(v * own, 1)[:, None], np.einsum("bd,bkd->bk", v, noise)], axis=1)
  wanted = N * np.mean(np.exp(s / tau))
  args = [jnp.asarray(x, jnp.float32) for x in (v, own, noise)]
  loss, _, z = instdisc.nce(*args, N, tau, jnp.float32(0.0))
  np.testing.assert_allclose(z, wanted, rtol=1e-5)
  np.testing.assert_allclose(loss, nce_loop(v, own, noise, N, tau, wanted), rtol=1e-4)
  grad = jax.grad(lambda v: instdisc.nce(v, *args[1:], N, tau, jnp.float32(0.0))[0])(args[0])
  fixed = jax.grad(lambda v: instdisc.nce(v, *args[1:], N, tau, z)[0])(args[0])
  np.testing.assert_allclose(grad, fixed, rtol=1e-5, atol=1e-7)  # a constant from the start


def test_noise_is_uniform_and_belongs_to_the_image():
  key = jax.random.key(0)
  draws = instdisc.noise_index(key, jnp.arange(400), 50, N)
  counts = np.bincount(np.asarray(draws).ravel(), minlength=N)
  assert counts.size == N and abs(counts / 20_000 * N - 1).max() < 0.25  # 625 each: 6 errors
  again = instdisc.noise_index(key, jnp.arange(400)[::-1], 50, N)
  np.testing.assert_array_equal(again[::-1], draws)


def problem(**options):
  method = instdisc.Method(**{"embedding_size": D, "num_noise": K, "temperature": 0.2, **options})
  net = method.network(toys.Backbone())
  params, stats = toys.start(net)
  remembered = method.init_memory(net, {"params": params}, TASK, jax.random.key(1))
  batch = {"views": jnp.asarray(toys.views(B, 1)), "index": jnp.asarray(INDEX)}
  v = toys.mlp(params["z"], toys.h(params, np.asarray(batch["views"])[:, 0], ONE_GROUP), ONE_GROUP)
  bank = np.asarray(remembered["bank"], np.float64)
  return method, (net, params, stats, remembered, batch, jax.random.key(2)), toys.unit(v), bank


def test_in_an_empty_bank_an_image_without_a_row_teaches_nothing():
  method, args, v, bank = problem(start="empty", num_noise=0)
  net, params, stats, remembered, *rest = args
  assert not bank.any()
  others = np.setdiff1d(np.arange(N), INDEX)
  bank = jnp.zeros((N, D)).at[others].set(units(3, len(others), D))

  def gradient(bank):
    memory = remembered | {"bank": bank}
    grad, aux = jax.grad(lambda p: method.loss(net, p, stats, memory, *rest), has_aux=True)(params)
    return max(float(abs(g).max()) for g in jax.tree.leaves(grad)), memory, aux.carry

  largest, memory, carry = gradient(bank)
  assert largest == 0
  filled = method.update_memory(memory, params, carry, 0.0)["bank"]
  np.testing.assert_allclose(filled[INDEX], v, atol=1e-5)
  np.testing.assert_array_equal(filled[others], bank[others])
  assert gradient(filled)[0] > 1e-3


def test_the_loss_draws_its_noise_from_the_bank():
  method, args, v, bank = problem()
  loss, aux = method.loss(*args)
  noise = bank[np.asarray(instdisc.noise_index(args[-1], args[-2]["index"], K, N))]
  wanted = nce_loop(v, bank[INDEX], noise, N, 0.2, float(aux.carry["Z"]))
  np.testing.assert_allclose(loss, wanted, rtol=1e-4)
  assert aux.features["z"].shape == (B, 1, D)


def test_without_noise_it_is_the_softmax_over_the_bank():
  method, args, v, bank = problem(num_noise=0)
  logits = v @ bank.T / 0.2
  wanted = np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(B), INDEX])
  np.testing.assert_allclose(method.loss(*args)[0], wanted, rtol=1e-4)


def test_the_proximal_term_is_the_squared_distance_to_the_row():
  plain, args, v, bank = problem()
  with_term, _, _, _ = problem(proximal=30.0)
  wanted = 30 * np.mean(np.sum((v - bank[INDEX]) ** 2, axis=1))
  got = with_term.loss(*args)[0] - plain.loss(*args)[0]
  np.testing.assert_allclose(got, wanted, rtol=1e-4)


@pytest.mark.parametrize("num_noise", [0, K])
def test_no_gradient_enters_the_bank(num_noise):
  method, (net, params, stats, remembered, batch, key), _, _ = problem(num_noise=num_noise)

  def loss(remembered):
    return method.loss(net, params, stats, remembered, batch, key)[0]

  grads = jax.grad(loss)(remembered)
  assert not any(np.any(leaf) for leaf in jax.tree.leaves(grads))


def test_rows_move_half_way_and_keep_their_length():
  method, args, v, bank = problem()
  _, aux = method.loss(*args)
  after = method.update_memory(args[3], args[1], aux.carry, 0.5)
  wanted = bank.copy()
  wanted[INDEX] = toys.unit(0.5 * bank[INDEX] + 0.5 * v)
  np.testing.assert_allclose(after["bank"], wanted, rtol=1e-4, atol=1e-5)
  assert after["Z"] == aux.carry["Z"] > 0
  _, again = method.loss(args[0], args[1], args[2], after, *args[4:])
  assert again.carry["Z"] == after["Z"], "Z is estimated once"


def test_the_figures_are_those_of_the_released_code():
  m = instdisc.Method()
  assert (m.temperature, m.embedding_size, m.num_noise, m.momentum) == (0.07, 128, 4096, 0.5)
  assert (m.proximal, m.num_views) == (0.0, 1)
  assert memory.bank(jax.random.key(0), N, D).shape == (N, D)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"temperature": -1}, "temperature -1 is outside"),
    ({"start": "full"}, 'start "full" is unknown; use one of random, empty'),
    ({"num_noise": -1}, "num_noise -1 is negative"),
    (
      {"start": "empty"},
      "start empty with num_noise 4096: Z .*set --config.method.num_noise=0, or",
    ),
    ({"momentum": 2}, "momentum 2 is not a momentum"),
  ],
)
def test_a_value_out_of_range_is_refused(options, message):
  with pytest.raises(errors.UserError, match=message):
    instdisc.Method(**options)


def test_an_empty_bank_trains_nothing_in_the_first_epoch():
  assert instdisc.Method(start="empty", num_noise=0).idle_steps(TASK) == N // B
  assert instdisc.Method().idle_steps(TASK) == 0
