"""LeJEPA against its two terms in float64, and what SIGReg says of samples that it must tell."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from contrastive_jax import errors, parallel
from contrastive_jax.methods import lejepa

B, N, D, M = 16, 3, 5, 7
NORMAL = np.sqrt(2 * np.pi) - np.sqrt(2 * np.pi / 3)  # the mean of the statistic, see below
POINT = np.sqrt(2 * np.pi) - 2 * np.sqrt(np.pi) + np.sqrt(2 * np.pi / 3)  # of samples at 0, over B


def embeddings(seed=0):
  return np.random.default_rng(seed).normal(0.3, 1.4, size=(B, N, D)).astype(np.float32)


def directions(dim=D, count=M):
  return lejepa.directions(jax.random.key(3), dim, count)


def sigreg_loop(z, directions):
  """Algorithm 1, view by view and direction by direction: 17 points from -5 to 5, trapezoids."""
  t, found = np.linspace(-5, 5, 17), []
  normal = np.exp(-0.5 * t**2)
  for view, direction in np.ndindex(z.shape[1], directions.shape[1]):
    x = z[:, view].astype(np.float64) @ np.asarray(directions, np.float64)[:, direction]
    measured = np.exp(1j * np.outer(x, t)).mean(axis=0)
    y = np.abs(measured - normal) ** 2 * normal
    found.append(len(z) * np.sum((y[1:] + y[:-1]) / 2 * np.diff(t)))
  return np.mean(found)


def prediction_loop(z, large):
  """Each view's distance to the mean of the first `large` ones, dimension by dimension."""
  terms = []
  for image in z.astype(np.float64):
    centre = sum(image[:large]) / large
    terms += [(view - centre) ** 2 for view in image]
  return np.mean(terms)


def test_sigreg_equals_a_float64_loop():
  z, a = embeddings(), directions()
  np.testing.assert_allclose(lejepa.sigreg(jnp.asarray(z), a), sigreg_loop(z, a), rtol=1e-5)


@pytest.mark.parametrize("large", [1, 2, 3])
def test_every_view_is_compared_with_the_mean_of_the_large_ones(large):
  z = embeddings()
  found = lejepa.prediction(jnp.asarray(z), large)
  np.testing.assert_allclose(found, prediction_loop(z, large), rtol=1e-5)


def test_its_gradient_is_that_of_central_differences():
  z, a = embeddings().astype(np.float64), directions()
  grad = jax.grad(lambda z: lejepa.sigreg(z, a))(jnp.asarray(z, jnp.float32))
  for index in ((0, 0, 1), (5, 2, 3), (15, 1, 0)):
    step = np.zeros_like(z)
    step[index] = 1e-5
    wanted = (sigreg_loop(z + step, a) - sigreg_loop(z - step, a)) / 2e-5
    np.testing.assert_allclose(grad[index], wanted, rtol=1e-3, atol=1e-6)


def statistic(samples, dim=32):
  return float(lejepa.sigreg(jnp.asarray(samples, jnp.float32)[:, None], directions(dim, 64)))


def test_normal_samples_have_their_expectation_whatever_their_number():
  """Of |mean exp(itx) - phi|^2 the expectation is (1 - phi^2) / B."""
  for count in (64, 512):
    x = np.random.default_rng(0).normal(size=(count, 64, 32))  # 64 batches; the error is 0.02
    found = lejepa.sigreg(jnp.asarray(x, jnp.float32), directions(32, 64))
    np.testing.assert_allclose(found, NORMAL, rtol=0.1)


def test_samples_in_one_point_have_what_the_integral_gives():
  np.testing.assert_allclose(statistic(np.zeros((256, 32))), 256 * POINT, rtol=1e-4)


@pytest.mark.parametrize("kind", ["small", "large", "shifted", "of few dimensions", "two points"])
def test_samples_that_are_not_standard_normal_are_told(kind):
  x = np.random.default_rng(0).normal(size=(256, 32))
  told = {
    "small": 0.3 * x,
    "large": 3 * x,
    "shifted": x + 1,
    "of few dimensions": np.where(np.arange(32) < 4, x * np.sqrt(8), 0),
    "two points": np.sign(x[:, :1]) * np.ones(32),
  }
  assert statistic(told[kind]) > 3 * NORMAL


@pytest.mark.parametrize("count", [2, 8])
def test_devices_share_one_sketch_and_change_neither_value_nor_gradient(count):
  def f(z, key):
    return lejepa.sigreg(z, lejepa.directions(key, D, M))

  def run(devices):
    mesh = parallel.make_mesh(jax.devices()[:devices])
    with parallel.use(mesh):
      step = jax.jit(jax.value_and_grad(f))
      return jax.device_get(step(parallel.put(embeddings(), mesh), jax.random.key(3)))

  (value, grad), (other, other_grad) = run(1), run(count)
  np.testing.assert_allclose(value, sigreg_loop(embeddings(), directions()), rtol=1e-5)
  np.testing.assert_allclose(other, value, rtol=1e-5)
  np.testing.assert_allclose(other_grad, grad, rtol=1e-4, atol=1e-6)


def test_directions_are_unit_vectors_and_others_at_each_step():
  a, b = (lejepa.directions(jax.random.key(seed), 8, 500) for seed in (0, 1))
  np.testing.assert_allclose(np.linalg.norm(a, axis=0), 1, rtol=1e-5)
  assert np.abs(np.asarray(a @ a.T) / 500 - np.eye(8) / 8).max() < 0.02
  assert np.abs(np.sum(a * b, axis=0)).max() < 0.999


@pytest.mark.parametrize("large, small", [(2, 0), (3, 2)])
def test_the_loss_weighs_its_two_terms_over_all_views(large, small):
  method = lejepa.Method(0.2, M, local_views=small, head_width=7, embedding_size=D)
  net = method.network(toys.Backbone())
  params, stats = toys.start(net)
  views = jnp.asarray(toys.views(B, large + small))
  batch = {"views": views[:, :large]} | ({"local_views": views[:, large:]} if small else {})
  key = jax.random.key(3)
  loss, aux = method.loss(net, params, stats, {}, batch, key)
  groups = [(0, large)] + ([(large, large + small)] if small else [])
  h = [  # of views of one size, which share their statistics
    toys.h(
      params, np.asarray(views[:, a:b]).reshape(-1, 2, 2, 3), np.zeros(B * (b - a), int)
    ).reshape(B, b - a, -1)
    for a, b in groups
  ]
  h = np.concatenate(h, axis=1)
  z = toys.mlp(params["z"], h.reshape(-1, h.shape[-1]), np.zeros(h[..., 0].size, int))
  z = z.reshape(B, large + small, D)
  wanted = 0.8 * prediction_loop(z, large) + 0.2 * sigreg_loop(z, directions())
  np.testing.assert_allclose(loss, wanted, rtol=1e-3)
  assert aux.features["z"].shape == (B, large, D)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"sigreg_weight": 1.5}, "sigreg_weight 1.5 is out of range; use 0 to 1, e.g. 0.05"),
    ({"slices": 0}, "slices 0 is below 1"),
    ({"local_views": -1}, "local_views -1 is below 0"),
  ],
)
def test_a_value_out_of_range_is_refused(options, message):
  with pytest.raises(errors.UserError, match=message):
    lejepa.Method(**options)
