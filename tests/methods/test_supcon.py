"""SupCon against a loop in float64 over eq. 2 of the paper, its limits and its constants."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax import errors, losses, methods, parallel
from contrastive_jax.methods import supcon

B, V, D, K = 8, 2, 4, 3
LABEL = np.array([0, 1, 0, -1, 2, 1, 0, -1], np.int32)  # class 2 has one image, two have no label


@pytest.fixture
def z():
  return np.random.default_rng(1).normal(size=(B, V, D)).astype(np.float32)


def one_hot(label):
  return jnp.asarray(label[:, None] == np.arange(K), jnp.float32)


def supcon_loop(z, label, tau):
  """L_out (eq. 2): P(i) are the other rows of i's class, A(i) all other rows; mean over rows."""
  u = z.astype(np.float64) / np.linalg.norm(z.astype(np.float64), axis=-1, keepdims=True)
  num_views = z.shape[1]
  u = u.reshape(-1, u.shape[-1])
  image = np.arange(len(u)) // num_views
  total = 0.0
  for i in range(len(u)):
    others = [a for a in range(len(u)) if a != i]
    denominator = sum(np.exp(u[i] @ u[a] / tau) for a in others)
    same = label[image] == label[image[i]] if label[image[i]] >= 0 else image == image[i]
    positives = [a for a in others if same[a]]
    total += np.mean([-np.log(np.exp(u[i] @ u[p] / tau) / denominator) for p in positives])
  return total / len(u)


@pytest.mark.parametrize("tau", [0.1, 0.5])
def test_supcon_equals_a_float64_loop(z, tau):
  loss, _ = supcon.supcon(jnp.asarray(z), one_hot(LABEL), tau)
  np.testing.assert_allclose(loss, supcon_loop(z, LABEL, tau), rtol=1e-5)


def test_supcon_with_three_views_equals_the_loop():
  z = np.random.default_rng(2).normal(size=(B, 3, D)).astype(np.float32)
  loss, _ = supcon.supcon(jnp.asarray(z), one_hot(LABEL), 0.3)
  np.testing.assert_allclose(loss, supcon_loop(z, LABEL, 0.3), rtol=1e-5)


@pytest.mark.parametrize("label", [np.full(B, -1), np.array([0, 1, 2, -1, -1, -1, -1, -1])])
def test_without_a_second_image_of_a_class_it_is_ntxent(z, label):
  a, grad_a = jax.value_and_grad(lambda z: supcon.supcon(z, one_hot(label), 0.1)[0])(z)
  b, grad_b = jax.value_and_grad(lambda z: losses.ntxent(z, 0.1)[0])(z)
  np.testing.assert_allclose(a, b, rtol=1e-5)
  np.testing.assert_allclose(grad_a, grad_b, atol=1e-5)


def test_classes_at_orthogonal_points_reach_the_lower_bound():
  """All 2 n views of a class at one point: log((2 n - 1) e^(1/tau) + rest) - 1/tau."""
  label = np.repeat(np.arange(2), 4)
  z = jnp.repeat(jnp.eye(D)[label][:, None], V, axis=1)
  loss, metrics = supcon.supcon(z, one_hot(label), 0.5)
  np.testing.assert_allclose(loss, np.log(7 * np.exp(2) + 8) - 2, rtol=1e-6)
  assert metrics["contrastive_accuracy"] == 1


def test_the_loss_is_scaled_by_tau_over_the_base_temperature(z):
  """The released code's factor: 0.1 / 0.07 with the defaults, which no LARS hides from biases."""

  class Net:
    micro_batches = 1

    def apply(self, variables, folded, train, mutable):
      return {"h": folded[:, 0, 0], "z": folded[:, 0, 0]}, {}

  method = supcon.Method()
  batch = {"views": jnp.asarray(z)[:, :, None, None], "label": jnp.asarray(LABEL)}
  memory = {"classes": jnp.arange(K)}
  loss, _ = method.loss(Net(), {}, {}, memory, batch, jax.random.key(0))
  np.testing.assert_allclose(loss, supcon_loop(z, LABEL, 0.1) / 0.7, rtol=1e-5)


def test_the_gradient_through_class_sums_is_exact_over_devices(z):
  grad = jax.jit(jax.grad(lambda z, one_hot: supcon.supcon(z, one_hot, 0.1)[0]))
  mesh = parallel.make_mesh()
  with parallel.use(mesh):
    placed = parallel.put({"z": z, "y": np.asarray(one_hot(LABEL))}, mesh)
    many = np.asarray(grad(placed["z"], placed["y"]))
  np.testing.assert_allclose(many, grad(jnp.asarray(z), one_hot(LABEL)), atol=1e-6)


def test_data_without_classes_are_refused():
  task = methods.Task(num_images=100, num_classes=0, batch_size=8, image_size_px=16)
  with pytest.raises(errors.UserError, match="the data has 0 classes; use labelled data"):
    supcon.Method().init_memory(None, None, task, None)
