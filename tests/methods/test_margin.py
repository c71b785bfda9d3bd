"""NT-Logistic, margin and triplet losses against loops in float64, with and without mining."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax import errors, parallel
from contrastive_jax.methods import margin, nt_logistic, triplet

B, D = 8, 4


@pytest.fixture
def z():
  """Views that agree somewhat, so that easy, semi-hard and hard negatives all occur."""
  rng = np.random.default_rng(4)
  return (rng.normal(size=(B, 1, D)) + 0.6 * rng.normal(size=(B, 2, D))).astype(np.float32)


def unit(z):
  z = z.astype(np.float64)
  return z / np.linalg.norm(z, axis=-1, keepdims=True)


def anchors(u, same_view=False):
  """Yields (anchor, positive, its negatives) of every view of every image."""
  for i in range(B):
    for v in (0, 1):
      views = (0, 1) if same_view else (1 - v,)
      yield u[i, v], u[i, 1 - v], [u[j, w] for j in range(B) if j != i for w in views]


def mean_of_anchors(per_anchor):
  kept = [np.mean(values) for values in per_anchor if values]
  return np.mean(kept) if kept else 0.0


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def nt_logistic_loop(z, tau, band):
  pulls, pushes = [], []
  for u, p, negatives in anchors(unit(z)):
    pulls.append(-np.log(sigmoid(u @ p / tau)))
    kept = [n for n in negatives if band is None or u @ p - band < u @ n < u @ p]
    pushes.append([-np.log(sigmoid(-u @ n / tau)) for n in kept])
  return np.mean(pulls) + mean_of_anchors(pushes)


def margin_loop(z, m, semi_hard):
  terms = []
  for u, p, negatives in anchors(unit(z)):
    kept = [n for n in negatives if not semi_hard or u @ p - m < u @ n < u @ p]
    terms.append([max(u @ n - u @ p + m, 0) for n in kept])
  return mean_of_anchors(terms)


def triplet_loop(z, alpha, mining):
  terms = []
  for a, p, negatives in anchors(unit(z), same_view=True):
    near = np.sum((a - p) ** 2)
    far = [np.sum((a - n) ** 2) for n in negatives]
    kept = {"all": far, "hard": [min(far)]}.get(mining)
    if kept is None:
      kept = [d for d in far if near < d < near + alpha]
    terms.append([max(near - d + alpha, 0) for d in kept])
  return mean_of_anchors(terms)


@pytest.mark.parametrize("tau", [0.1, 1.0])
@pytest.mark.parametrize("band", [None, 0.4])
def test_nt_logistic_equals_a_float64_loop(z, tau, band):
  loss, _ = nt_logistic.nt_logistic(jnp.asarray(z), tau, band)
  np.testing.assert_allclose(loss, nt_logistic_loop(z, tau, band), rtol=1e-4)


@pytest.mark.parametrize("m", [0.4, 1.6])
@pytest.mark.parametrize("semi_hard", [False, True])
def test_margin_equals_a_float64_loop(z, m, semi_hard):
  loss, _ = margin.margin(jnp.asarray(z), m, semi_hard)
  np.testing.assert_allclose(loss, margin_loop(z, m, semi_hard), rtol=1e-4)


@pytest.mark.parametrize("alpha", [0.2, 1.0])
@pytest.mark.parametrize("mining", triplet.MININGS)
def test_triplet_equals_a_float64_loop(z, alpha, mining):
  loss, _ = triplet.triplet(jnp.asarray(z), alpha, mining)
  np.testing.assert_allclose(loss, triplet_loop(z, alpha, mining), rtol=1e-4)


def test_equal_embeddings_give_the_closed_forms():
  z = jnp.ones((B, 2, D))
  wanted = np.log(1 + np.exp(-2)) + np.log(1 + np.exp(2))
  np.testing.assert_allclose(nt_logistic.nt_logistic(z, 0.5)[0], wanted, rtol=1e-5)
  np.testing.assert_allclose(margin.margin(z, 0.4)[0], 0.4, rtol=1e-5)
  np.testing.assert_allclose(triplet.triplet(z, 0.2, "hard")[0], 0.2, rtol=1e-5)


def test_the_gradient_of_a_row_is_table_2_of_the_paper():
  """NT-Logistic: -sigmoid(-u.v+/tau) v+/tau + sigmoid(u.v-/tau) v-/tau; margin: v- - v+."""
  rng = np.random.default_rng(3)
  u, p, n = (x / np.linalg.norm(x) for x in rng.normal(size=(3, D)))
  tau = 0.5

  def two_images(loss):
    """Image 0 is (u, p); image 1 is n twice. As function of u, only its own row changes below."""

    def value(u):
      z = jnp.stack([jnp.stack([u, p]), jnp.stack([n, n])])
      return loss(z.astype(jnp.float32))

    return np.asarray(jax.grad(value)(jnp.asarray(u, jnp.float32)))

  tangent = np.eye(D) - np.outer(u, u)  # unit vectors: only this part of a gradient remains
  own = -sigmoid(-u @ p / tau) * p / tau + sigmoid(u @ n / tau) * n / tau
  as_positive = -sigmoid(-u @ p / tau) * p / tau  # of p's row
  as_negative = sigmoid(u @ n / tau) * n / tau  # of the row of n in the other view
  wanted = tangent @ (own + as_positive + as_negative) / 4  # of four anchors
  np.testing.assert_allclose(
    two_images(lambda z: nt_logistic.nt_logistic(z, tau)[0]), wanted, atol=1e-5
  )
  m = 2.0  # every triplet is active
  own, as_positive, as_negative = n - p, -p, n
  wanted = tangent @ (own + as_positive + as_negative) / 4
  np.testing.assert_allclose(two_images(lambda z: margin.margin(z, m)[0]), wanted, atol=1e-5)


def test_triplets_inside_out_are_left_to_semi_hard_mining():
  """Mining is counted in `mined`; an anchor without a kept negative does not dilute the mean."""
  z = jnp.repeat(jnp.eye(B)[:, None], 2, axis=1)  # all negatives are at distance 2: too easy
  loss, metrics = triplet.triplet(z, 0.2, "semi-hard")
  assert (loss, metrics["mined"], metrics["contrastive_accuracy"]) == (0, 0, 1)
  near = z.at[1].set(0.95 * z[0] + 0.3 * z[1])  # images 0 and 1 are near
  loss, metrics = triplet.triplet(near, 0.2, "semi-hard")
  np.testing.assert_allclose(loss, triplet_loop(np.asarray(near), 0.2, "semi-hard"), rtol=1e-3)
  np.testing.assert_allclose(metrics["mined"], (2 * 2 * 2) / (2 * B * 2 * (B - 1)), rtol=1e-5)


LOSSES = {
  "nt_logistic": lambda z: nt_logistic.nt_logistic(z, 0.5, 0.4)[0],
  "margin": lambda z: margin.margin(z, 0.4, True)[0],
  "triplet": lambda z: triplet.triplet(z, 1.0, "hard")[0],
}


@pytest.mark.parametrize("name", LOSSES)
def test_devices_do_not_change_the_mined_gradient(z, name):
  grad = jax.jit(jax.grad(LOSSES[name]))
  mesh = parallel.make_mesh()
  with parallel.use(mesh):
    many = np.asarray(grad(parallel.put(z, mesh)))
  np.testing.assert_allclose(many, grad(jnp.asarray(z)), atol=1e-6)


def test_figures_and_refusals():
  assert (triplet.Method().margin, triplet.Method().mining) == (0.2, "semi-hard")
  with pytest.raises(errors.UserError, match='mining "best" is unknown; use one of all'):
    triplet.Method(mining="best")
  with pytest.raises(errors.UserError, match="margin 0 is no difference of cosines"):
    margin.Method(margin=0, semi_hard=True)
  with pytest.raises(errors.UserError, match="temperature 0 is outside"):
    nt_logistic.Method(temperature=0)
