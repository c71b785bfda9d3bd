"""DCL, DCLW and InfoNCE between views against loops in float64 that follow the papers' formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax import errors, losses
from contrastive_jax.methods import dcl, infonce

B, D = 9, 4


@pytest.fixture
def z():
  return np.random.default_rng(1).normal(size=(B, 2, D)).astype(np.float32)


def unit(z):
  z = z.astype(np.float64)
  return z / np.linalg.norm(z, axis=-1, keepdims=True)


def dcl_loop(z, tau, sigma=None):
  """Eq. 4 and 6 of DCL: -w_i <u_i, u_i+> / tau + log of the sum over both views of other images."""
  u = unit(z)
  rows = []
  closeness = [np.exp(u[i, 0] @ u[i, 1] / sigma) for i in range(B)] if sigma else None
  for i in range(B):
    for v in (0, 1):
      others = [u[i, v] @ u[j, w] for j in range(B) if j != i for w in (0, 1)]
      weight = 2 - closeness[i] / np.mean(closeness) if sigma else 1
      rows.append(
        -weight * (u[i, 0] @ u[i, 1]) / tau + np.log(np.sum(np.exp(np.array(others) / tau)))
      )
  return np.mean(rows)


def infonce_loop(x, tau, symmetric):
  """CPC eq. 4: -log of exp(positive) over the sum of exp over the whole other view."""
  x = x.astype(np.float64)
  total = []
  for a, b in [(0, 1), (1, 0)] if symmetric else [(0, 1)]:
    for i in range(B):
      scores = np.array([x[i, a] @ x[j, b] for j in range(B)]) / tau
      total.append(np.log(np.sum(np.exp(scores - scores[i]))))
  return np.mean(total)


@pytest.mark.parametrize("tau", [0.1, 0.7])
@pytest.mark.parametrize("sigma", [None, 0.5, 2.0])
def test_dcl_equals_a_float64_loop(z, tau, sigma):
  loss, _ = dcl.dcl(jnp.asarray(z), tau, sigma)
  np.testing.assert_allclose(loss, dcl_loop(z, tau, sigma), rtol=1e-5)


@pytest.mark.parametrize("sigma", [None, 0.5])
def test_the_gradient_enters_the_weights_too(z, sigma):
  """Against central differences in float64 of the first two images."""
  wanted = np.zeros((2, 2, D))
  for index in np.ndindex(2, 2, D):
    step = np.zeros(z.shape)
    step[index] = 1e-5
    wanted[index] = (dcl_loop(z + step, 0.3, sigma) - dcl_loop(z - step, 0.3, sigma)) / 2e-5
  got = jax.grad(lambda z: dcl.dcl(z, 0.3, sigma)[0])(jnp.asarray(z))[:2]
  np.testing.assert_allclose(got, wanted, atol=1e-4)


def test_dcl_of_equal_embeddings_counts_the_columns_of_other_images():
  loss, metrics = dcl.dcl(jnp.ones((B, 2, D)), 0.1, 0.5)
  np.testing.assert_allclose(loss, np.log(2 * B - 2), rtol=1e-5)
  assert metrics["contrastive_accuracy"] == 0


def test_dcl_of_orthogonal_images_is_negative():
  z = jnp.repeat(jnp.eye(B)[:, None], 2, axis=1)
  loss, metrics = dcl.dcl(z, 0.1)
  np.testing.assert_allclose(loss, np.log(2 * B - 2) - 10, rtol=1e-5)
  assert metrics["contrastive_accuracy"] == 1


def test_an_easy_positive_does_not_silence_the_negatives():
  """What DCL is for: where NT-Xent's gradient has vanished, its own has not."""
  near = np.repeat(np.eye(B, dtype=np.float32)[:, None], 2, axis=1)
  near[:, 1] += 0.1 * np.random.default_rng(0).normal(size=(B, B)).astype(np.float32)
  alive = jax.grad(lambda z: dcl.dcl(z, 0.1)[0])(jnp.asarray(near))
  vanished = jax.grad(lambda z: losses.ntxent(z, 0.1)[0])(jnp.asarray(near))
  assert np.abs(alive).max() > 10 * np.abs(vanished).max()


def test_weights_average_to_one_and_favour_distant_positives(z):
  """With sigma large every weight is 1, so DCLW becomes DCL."""
  plain = dcl.dcl(jnp.asarray(z), 0.1)[0]
  np.testing.assert_allclose(dcl.dcl(jnp.asarray(z), 0.1, 1e6)[0], plain, rtol=1e-5)
  weighted = dcl.dcl(jnp.asarray(z), 0.1, 0.5)[0]
  assert weighted > plain, "the weight falls with the similarity, so the weighted mean is lower"


def test_the_papers_figures_are_the_defaults():
  method = dcl.Method()
  assert (method.temperature, method.sigma, method.weighted) == (0.1, 0.5, False)
  method = infonce.Method()
  assert (method.temperature, method.head_layers, method.head_width) == (0.2, 3, 2048)


@pytest.mark.parametrize("symmetric", [True, False])
def test_infonce_equals_a_float64_loop(z, symmetric):
  for x, tau in ((unit(z), 0.2), (z, 10.0)):  # cosine, and plain dot products
    loss, _ = losses.infonce_between_views(jnp.asarray(x, jnp.float32), tau, symmetric=symmetric)
    np.testing.assert_allclose(loss, infonce_loop(x, tau, symmetric), rtol=1e-5)


def test_infonce_of_equal_embeddings_is_the_log_of_the_batch():
  loss, _ = losses.infonce_between_views(jnp.ones((B, 2, D)) / 2, 0.2)
  np.testing.assert_allclose(loss, np.log(B), rtol=1e-6)


def test_views_of_the_same_side_do_not_meet():
  """Views 0 of two images are not compared: the loss has no mixed derivative in them."""
  x = jnp.asarray(np.random.default_rng(2).normal(size=(B, 2, D)), jnp.float32)

  def loss(x):
    return losses.infonce_between_views(x, 1.0, symmetric=False)[0]

  mixed = jax.jacobian(jax.grad(loss))(x)[0, 0, :, 1, 0]  # d/dx[1, 0] of dL/dx[0, 0]
  assert not np.any(mixed)
  assert np.any(jax.jacobian(jax.grad(loss))(x)[0, 0, :, 1, 1])


def test_values_that_cannot_work_are_refused():
  with pytest.raises(errors.UserError, match="sigma 0 is outside"):
    dcl.Method(sigma=0)
  with pytest.raises(errors.UserError, match='similarity "l2" is unknown; use cosine or dot'):
    infonce.Method(similarity="l2")
