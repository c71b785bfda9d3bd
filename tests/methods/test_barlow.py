"""Barlow Twins and VICReg against loops in float64 that follow the papers' formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from contrastive_jax import errors, parallel
from contrastive_jax.methods import barlow, vicreg

B, D = 16, 5


@pytest.fixture
def z():
  rng = np.random.default_rng(1)
  shared = rng.normal(size=(B, 1, D))
  mixed = shared + 0.7 * rng.normal(size=(B, 2, D)) @ rng.normal(size=(D, D))
  return (mixed + rng.normal(size=D)).astype(np.float32)


def barlow_loop(z, weight):
  """Eq. 1 and 2 of Barlow Twins; the embeddings are mean-centred along the batch first."""
  a, b = (z[:, v].astype(np.float64) - z[:, v].astype(np.float64).mean(0) for v in (0, 1))
  total = 0.0
  for i in range(D):
    for j in range(D):
      norms = np.sqrt((a[:, i] ** 2).sum()) * np.sqrt((b[:, j] ** 2).sum())
      c = (a[:, i] * b[:, j]).sum() / norms
      total += (1 - c) ** 2 if i == j else weight * c**2
  return total


def vicreg_loop(z):
  """Eq. 1 to 6 of VICReg: s, v and c; v and c are added over the two views."""
  a, b = z[:, 0].astype(np.float64), z[:, 1].astype(np.float64)
  invariance = np.mean([np.sum((a[n] - b[n]) ** 2) for n in range(B)])
  variance = covariance = 0.0
  for x in (a, b):
    mean = x.mean(0)
    for i in range(D):
      std = np.sqrt(sum((x[n, i] - mean[i]) ** 2 for n in range(B)) / (B - 1) + 1e-4)
      variance += max(0.0, 1 - std) / D
    c = sum(np.outer(x[n] - mean, x[n] - mean) for n in range(B)) / (B - 1)
    covariance += sum(c[i, j] ** 2 for i in range(D) for j in range(D) if i != j) / D
  return invariance, variance, covariance


@pytest.mark.parametrize("weight", [0.0, 0.0051, 1.0])
def test_barlow_equals_a_float64_loop(z, weight):
  loss, _ = barlow.barlow(jnp.asarray(z), weight)
  np.testing.assert_allclose(loss, barlow_loop(z, weight), rtol=1e-4)  # eps of the batch norm


def test_barlow_of_equal_decorrelated_views_is_zero():
  # Columns of a Hadamard matrix but the first have mean 0 and are orthogonal.
  h = np.array([[1]])
  for _ in range(4):
    h = np.block([[h, h], [h, -h]])
  z = jnp.asarray(np.repeat(h[:, None, 1 : D + 1], 2, axis=1), jnp.float32)
  loss, metrics = barlow.barlow(z, 0.0051)
  np.testing.assert_allclose(loss, 0, atol=1e-8)
  flipped = z.at[:, 1, 0].multiply(-1)  # C_00 = -1
  np.testing.assert_allclose(barlow.barlow(flipped, 0.0051)[1]["invariance"], 4, rtol=1e-4)
  repeated = z.at[:, :, 1].set(z[:, :, 0])  # C_01 = C_10 = 1
  np.testing.assert_allclose(barlow.barlow(repeated, 0.0051)[0], 2 * 0.0051, rtol=1e-3)


def test_barlow_does_not_see_scale_or_offset_of_a_dimension(z):
  moved = z * np.linspace(0.5, 2, D, dtype=np.float32) + 3
  a, b = (barlow.barlow(jnp.asarray(x), 0.1)[0] for x in (z, moved))
  np.testing.assert_allclose(a, b, rtol=1e-4)


def test_vicreg_equals_a_float64_loop(z):
  """The code divides the paper's s by D and halves the paper's v (recorded in its docstring)."""
  s, v, c = vicreg_loop(0.4 * z)
  terms = vicreg.vicreg(jnp.asarray(0.4 * z))
  assert v > 0.01, "the hinge must be active"
  np.testing.assert_allclose(terms["invariance"], s / D, rtol=1e-5)
  np.testing.assert_allclose(terms["variance"], v / 2, rtol=1e-5)
  np.testing.assert_allclose(terms["covariance"], c, rtol=1e-5)


def test_vicreg_of_a_collapsed_batch_is_the_hinge_at_zero_variance():
  terms = vicreg.vicreg(jnp.full((B, 2, D), 3.0))
  np.testing.assert_allclose(terms["variance"], 0.99, rtol=1e-6)  # 1 - sqrt(1e-4)
  assert (terms["invariance"], terms["covariance"]) == (0, 0)
  grads = jax.grad(lambda z: vicreg.vicreg(z)["variance"])(jnp.full((B, 2, D), 3.0))
  assert np.all(np.isfinite(grads))


def test_the_variance_term_stops_at_a_standard_deviation_of_one():
  z = jnp.asarray(np.random.default_rng(0).normal(size=(B, 2, D)) * 9, jnp.float32)
  assert vicreg.vicreg(z)["variance"] == 0


def test_the_papers_weights_are_the_defaults():
  assert barlow.Method().redundancy_weight == 0.0051
  m = vicreg.Method()
  assert (m.invariance_weight, m.variance_weight, m.covariance_weight) == (25, 25, 1)
  for method in (barlow.Method(), m):
    assert (method.head_layers, method.head_width, method.embedding_size) == (3, 8192, 8192)


def test_the_loss_can_be_scaled():
  whole, tenth = (barlow.Method(head_width=8, embedding_size=D, loss_factor=f) for f in (1.0, 0.1))
  net = whole.network(toys.Backbone())
  params, stats = toys.start(net)
  batch = {"views": jnp.asarray(toys.views(B))}
  a, b = (m.loss(net, params, stats, {}, batch, None)[0] for m in (whole, tenth))
  np.testing.assert_allclose(b, 0.1 * a, rtol=1e-6)


def test_negative_weights_are_refused():
  with pytest.raises(errors.UserError, match="loss_factor 0 is not positive"):
    barlow.Method(loss_factor=0)
  with pytest.raises(errors.UserError, match="redundancy_weight -1"):
    barlow.Method(redundancy_weight=-1)
  with pytest.raises(errors.UserError, match="variance_weight -2"):
    vicreg.Method(variance_weight=-2)


@pytest.mark.parametrize(
  ("loss", "loop"),
  [
    (lambda z: barlow.barlow(z, 0.1)[0], lambda z: barlow_loop(z, 0.1)),
    (
      lambda z: sum(vicreg.vicreg(z).values()),
      lambda z: np.dot(vicreg_loop(z), (1 / D, 1 / 2, 1)),
    ),
  ],
)
def test_the_gradient_equals_central_differences_in_float64(z, loss, loop):
  z = 0.4 * z
  wanted = np.zeros((2, 2, D))
  for index in np.ndindex(2, 2, D):  # of the first two images
    step = np.zeros(z.shape)
    step[index] = 1e-5
    wanted[index] = (loop(z + step) - loop(z - step)) / 2e-5
  got = jax.grad(loss)(jnp.asarray(z))[:2]
  np.testing.assert_allclose(got, wanted, atol=1e-3 * np.abs(wanted).max())


@pytest.mark.parametrize(
  "loss", [lambda z: barlow.barlow(z, 0.1)[0], lambda z: sum(vicreg.vicreg(z).values())]
)
def test_the_gradient_through_batch_statistics_is_exact_over_devices(z, loss):
  """A sum over devices without a gradient would make it a share of this (recipes, section 6)."""
  grad = jax.jit(jax.grad(loss))
  mesh = parallel.make_mesh()
  with parallel.use(mesh):
    many = np.asarray(grad(parallel.put(z, mesh)))
  np.testing.assert_allclose(many, grad(jnp.asarray(z)), rtol=1e-4, atol=1e-5)
