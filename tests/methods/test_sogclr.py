"""SogCLR against the released code's form of its loss in float64, its averages, and DCL's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from contrastive_jax import errors, methods, parallel
from contrastive_jax.methods import dcl, sogclr

B, D, N, TAU, GAMMA = 8, 5, 24, 0.2, 0.7
TWICE = np.asarray([7, 3, 7, 1, 3, 7, 0, 9], np.int32)
DIFFERENT = np.arange(B, dtype=np.int32)[::-1] + 2
SEEN = np.asarray([True, False] * (B // 2))


def embeddings(seed=0, images=B, views=2):
  return np.random.default_rng(seed).normal(size=(images, views, D)).astype(np.float32)


def remembered(seed=1):
  return np.random.default_rng(seed).uniform(0.5, 20, B)  # u, not its logarithm


def oracle(z, u, seen, image, tau=TAU, gamma=GAMMA):
  """Row by row in float64: its objective, dL/dz by the chain rule, and u of each image.

  A row's loss pulls by its positive and pushes by sum_j w_j s_j with the weights
  w_j = exp(s_j / tau) / (count u) held fixed, over tau.
  """
  length = np.linalg.norm(z.astype(np.float64), axis=-1, keepdims=True)
  e = z.astype(np.float64) / length
  value, de, new = [], np.zeros_like(e), np.zeros((len(e), 2))
  for i, v in np.ndindex(e.shape[:2]):
    others = [(j, w) for j in range(len(e)) for w in (0, 1) if image[j] != image[i]]
    weight = {(j, w): np.exp(e[i, v] @ e[j, w] / tau) / len(others) for j, w in others}
    g = sum(weight.values())
    new[i, v] = (1 - gamma) * u[i] + gamma * g if seen[i] else g
    value.append(np.log(new[i, v]) - e[i, v] @ e[i, 1 - v] / tau)
    de[i, v] -= e[i, 1 - v] / tau
    de[i, 1 - v] -= e[i, v] / tau
    for (j, w), x in weight.items():
      de[i, v] += x / new[i, v] * e[j, w] / tau
      de[j, w] += x / new[i, v] * e[i, v] / tau
  de /= e.shape[0] * 2
  dz = (de - e * np.sum(de * e, axis=-1, keepdims=True)) / length
  return np.mean(value), dz, new.mean(axis=1)


def results(z, u, seen, image, devices=None, **options):
  """Value, gradient, metrics and what is remembered, by default outside of a mesh."""

  def f(z, log_u, seen, image):
    loss, *rest = sogclr.sogclr(z, log_u, seen, TAU, GAMMA, image, **options)
    return loss, rest

  step = jax.jit(jax.value_and_grad(f, has_aux=True))
  arrays = z, np.log(u).astype(np.float32), seen, image
  if devices is None:
    return jax.device_get(step(*arrays))
  mesh = parallel.make_mesh(jax.devices()[:devices])
  with parallel.use(mesh):
    return jax.device_get(step(*parallel.put(arrays, mesh)))


@pytest.mark.parametrize(
  "devices, form", [(None, "dense"), (1, "tiled"), (2, "dense"), (8, "ring")]
)
@pytest.mark.parametrize("image", [DIFFERENT, TWICE], ids=["different", "twice"])
def test_value_gradient_and_averages_are_a_float64_loops(image, devices, form):
  z, u = embeddings(), remembered()
  value, dz, new = oracle(z, u, SEEN, image)
  (loss, (metrics, after)), grad = results(z, u, SEEN, image, devices, implementation=form)
  np.testing.assert_allclose(loss, value, rtol=1e-5)
  np.testing.assert_allclose(grad, dz, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(np.exp(after["log_u"]), new, rtol=1e-5)
  assert after["seen"].all() and 0 < metrics["normaliser_ratio"] < 1 / GAMMA


@pytest.mark.parametrize("seen", [True, False], ids=["gamma 1", "never seen"])
def test_with_the_batch_alone_it_is_dcl(seen):
  """What the batch knows is all if gamma is 1, and where no image has an average yet."""
  z, log_u, image = embeddings(), np.full(B, 3.0, np.float32), jnp.asarray(TWICE)

  def own(z):
    return sogclr.sogclr(z, log_u, np.full(B, seen), TAU, 1.0 if seen else GAMMA, image)[0]

  grad, wanted = jax.grad(own)(z), jax.grad(lambda z: dcl.dcl(z, TAU, None, image)[0])(z)
  assert np.abs(wanted).max() > 1e-2
  np.testing.assert_allclose(grad, wanted, rtol=1e-4, atol=1e-6)


def test_averages_over_small_batches_come_near_the_normaliser_of_all_images():
  """Of one image, by gamma 0.05; the batches' own estimates are scattered around it."""
  rng, z = np.random.default_rng(0), embeddings(0, N)
  e = toys.unit(z.astype(np.float64))
  exact = np.mean(
    [np.exp(e[0, v] @ e[j, w] / TAU) for v in (0, 1) for j in range(1, N) for w in (0, 1)]
  )
  log_u, seen, batch_alone = jnp.zeros(4), jnp.zeros(4, bool), []
  step = jax.jit(lambda z, log_u, seen: sogclr.sogclr(z, log_u, seen, TAU, 0.05)[2])
  for _ in range(200):
    rows = np.r_[0, rng.choice(np.arange(1, N), 3, replace=False)]
    batch_alone.append(float(step(z[rows], log_u, 0 * seen)["log_u"][0]))
    after = step(z[rows], log_u, seen)  # rows 1 to 3 are other images each time: their u is unused
    log_u, seen = after["log_u"], after["seen"]
  assert abs(float(log_u[0]) - np.log(exact)) < 0.25
  assert np.std(np.exp(batch_alone)) > 0.5 * exact


@pytest.mark.parametrize("tau", [1e-3, 0.01])
def test_a_small_temperature_overflows_nothing(tau):
  z = jnp.asarray(embeddings())
  log_u = jnp.full(B, 0.9 / tau)  # exp of it is not finite in float32

  def loss(z):
    value, metrics, after = sogclr.sogclr(z, log_u, jnp.ones(B, bool), tau, GAMMA)
    return value, (metrics, after)

  (value, rest), grad = jax.value_and_grad(loss, has_aux=True)(z)
  assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves((value, rest, grad)))
  assert np.any(grad)


def test_a_batch_of_one_image_pulls_and_remembers_nothing():
  z, log_u, seen = embeddings(), np.log(remembered()), jnp.asarray(SEEN)
  same = jnp.zeros(B, jnp.int32)

  def loss(z):
    value, _, after = sogclr.sogclr(z, jnp.asarray(log_u), seen, TAU, GAMMA, same)
    return value, after

  (value, after), grad = jax.value_and_grad(loss, has_aux=True)(z)
  e = toys.unit(z.astype(np.float64))
  np.testing.assert_allclose(value, -np.mean(np.sum(e[:, 0] * e[:, 1], axis=-1)) / TAU, rtol=1e-5)
  assert np.all(np.isfinite(grad)) and np.any(grad)
  np.testing.assert_allclose(after["log_u"], log_u, rtol=1e-6)
  np.testing.assert_array_equal(after["seen"], SEEN)


def test_a_step_remembers_its_own_images_alone_and_reads_them_at_the_next():
  method = sogclr.Method(TAU, GAMMA, head_width=7, embedding_size=D)
  net = method.network(toys.Backbone())
  params, stats = toys.start(net)
  task = methods.Task(num_images=N, num_classes=0, batch_size=B, image_size_px=2)
  memory = method.init_memory(net, {"params": params}, task, jax.random.key(0))
  assert not memory["seen"].any()
  u, seen = np.zeros(N), np.zeros(N, bool)
  for seed in (0, 1):
    batch = {"views": jnp.asarray(toys.views(B, seed=seed)), "index": jnp.asarray(TWICE)}
    loss, aux = method.loss(net, params, stats, memory, batch, None)
    value, _, new = oracle(np.asarray(aux.features["z"]), u[TWICE], seen[TWICE], TWICE)
    np.testing.assert_allclose(loss, value, rtol=1e-4)
    memory = method.update_memory(memory, params, aux.carry, 0.5)
    for row, index in enumerate(TWICE):  # of an image that comes twice the last one stays
      u[index], seen[index] = new[row], True
    np.testing.assert_array_equal(memory["seen"], seen)
    np.testing.assert_allclose(np.exp(memory["log_u"])[seen], u[seen], rtol=1e-4)
    assert not memory["log_u"][~seen].any()


def test_the_loss_can_be_scaled_as_in_the_paper_and_in_the_released_code():
  net = sogclr.Method(head_width=7).network(toys.Backbone())
  params, stats = toys.start(net)
  memory = {"log_u": jnp.zeros(N), "seen": jnp.zeros(N, bool)}
  batch = {"views": toys.views(B), "index": jnp.asarray(DIFFERENT)}

  def value(factor):
    return sogclr.Method(0.3, loss_factor=factor).loss(net, params, stats, memory, batch, None)[0]

  np.testing.assert_allclose(value("paper"), 0.3 * value("nats"), rtol=1e-6)
  np.testing.assert_allclose(value("code"), 0.6 * value("nats"), rtol=1e-6)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"temperature": 0}, "temperature 0 is outside"),
    ({"gamma": 0}, "gamma 0 is out of range; use above 0 to 1, e.g. 0.9"),
    ({"gamma": 1.1}, "gamma 1.1 is out of range"),
    ({"loss_factor": "two"}, 'loss_factor "two" is unknown; use one of nats, paper, code'),
  ],
)
def test_a_value_out_of_range_is_refused(options, message):
  with pytest.raises(errors.UserError, match=message):
    sogclr.Method(**options)
