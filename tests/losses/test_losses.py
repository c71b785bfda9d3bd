"""NT-Xent against a loop in float64, optax, its closed forms and the paper's gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from contrastive_jax import losses, parallel

B, V, D = 12, 2, 5


@pytest.fixture
def z():
  return np.random.default_rng(1).normal(size=(B, V, D)).astype(np.float32)


def ntxent_loop(z, temperature):
  """SimCLR eq. 1, view by view, in float64; positives averaged if there are more than one."""
  u = z.astype(np.float64) / np.linalg.norm(z.astype(np.float64), axis=-1, keepdims=True)
  num_images, num_views, _ = u.shape
  total = 0.0
  for b in range(num_images):
    for v in range(num_views):
      denominator = 0.0
      for c in range(num_images):
        for w in range(num_views):
          if (c, w) != (b, v):
            denominator += np.exp(u[b, v] @ u[c, w] / temperature)
      terms = [
        -np.log(np.exp(u[b, v] @ u[b, w] / temperature) / denominator)
        for w in range(num_views)
        if w != v
      ]
      total += np.mean(terms)
  return total / (num_images * num_views)


@pytest.mark.parametrize("implementation", ["dense", "tiled"])
@pytest.mark.parametrize("temperature", [0.07, 0.5, 2.0])
def test_ntxent_equals_a_float64_loop(z, temperature, implementation):
  loss, _ = losses.ntxent(jnp.asarray(z), temperature, implementation=implementation, tile=7)
  np.testing.assert_allclose(loss, ntxent_loop(z, temperature), rtol=1e-5)


def ntxent_gradient(z, temperature):
  """The closed form, in float64.

  With s_ij = u_i·u_j and P the softmax of s / tau without the diagonal, row by row:
  dL/du_k = (sum_j (P_kj + P_jk) u_j - 2 u_k+) / (N tau), dL/dz = (I - u u^T) dL/du / |z|.
  """
  flat = z.astype(np.float64).reshape(-1, z.shape[-1])
  length = np.linalg.norm(flat, axis=1, keepdims=True)
  u = flat / length
  s = np.exp(u @ u.T / temperature)
  np.fill_diagonal(s, 0.0)
  p = s / s.sum(1, keepdims=True)
  positive = u.reshape(-1, 2, z.shape[-1])[:, ::-1].reshape(u.shape)
  du = ((p + p.T) @ u - 2 * positive) / (len(u) * temperature)
  dz = (du - np.sum(du * u, axis=1, keepdims=True) * u) / length
  return dz.reshape(z.shape)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
@pytest.mark.parametrize("implementation", ["dense", "tiled", "ring"])
def test_the_gradient_of_ntxent_is_its_closed_form(temperature, implementation):
  z = np.random.default_rng(4).normal(size=(16, V, D)).astype(np.float32)
  mesh = parallel.make_mesh(jax.devices()[: 8 if implementation == "ring" else 1])

  @jax.jit
  def gradient(z):
    options = {"implementation": implementation, "tile": 3}
    return parallel.gather(jax.grad(lambda z: losses.ntxent(z, temperature, **options)[0])(z))

  with parallel.use(mesh):
    found = gradient(parallel.put(z, mesh))
  wanted = ntxent_gradient(z, temperature)
  # Differences of probabilities in float32: some 1e-7 of the largest entry, times 1 / tau.
  np.testing.assert_allclose(found, wanted, atol=3e-6 * abs(wanted).max())


def test_ntxent_with_three_views_averages_the_positives():
  z = np.random.default_rng(2).normal(size=(6, 3, D)).astype(np.float32)
  np.testing.assert_allclose(losses.ntxent(jnp.asarray(z), 0.3)[0], ntxent_loop(z, 0.3), rtol=1e-5)


@pytest.mark.parametrize("implementation", ["dense", "tiled"])
def test_ntxent_equals_optax_in_value_and_gradient(z, implementation):
  labels = np.tile(np.arange(B), V)

  def theirs(z):
    return optax.losses.ntxent(z.transpose(1, 0, 2).reshape(-1, D), labels, temperature=0.4)

  def ours(z):
    return losses.ntxent(z, 0.4, implementation=implementation, tile=10)[0]

  a, da = jax.value_and_grad(theirs)(jnp.asarray(z))
  b, db = jax.value_and_grad(ours)(jnp.asarray(z))
  np.testing.assert_allclose(a, b, rtol=1e-5)
  np.testing.assert_allclose(da, db, atol=1e-6)


def test_equal_embeddings_give_the_log_of_the_number_of_columns():
  loss, metrics = losses.ntxent(jnp.ones((B, V, D)), 0.1)
  np.testing.assert_allclose(loss, np.log(2 * B - 1), rtol=1e-6)
  np.testing.assert_allclose(metrics["contrastive_entropy"], np.log(2 * B - 1), rtol=1e-6)
  assert metrics["contrastive_accuracy"] == 0, "a collapsed net tells no image from another"


def test_orthogonal_images_with_equal_views_give_the_closed_form():
  temperature = 0.5
  z = jnp.repeat(jnp.eye(B)[:, None], V, axis=1)
  loss, metrics = losses.ntxent(z, temperature)
  wanted = np.log(np.exp(1 / temperature) + 2 * B - 2) - 1 / temperature
  np.testing.assert_allclose(loss, wanted, rtol=1e-6)
  assert metrics["contrastive_accuracy"] == 1


def test_ntxent_is_the_mean_of_the_papers_eq_1_and_half_of_the_released_code(z):
  """The code adds the means over the rows of view a and of view b (constant 2 under LARS)."""
  u = z / np.linalg.norm(z, axis=-1, keepdims=True)
  a, b = u[:, 0], u[:, 1]
  off = np.where(np.eye(B, dtype=bool), -1e9, 0)
  label = np.arange(B)
  code = 0.0
  for x, y in ((a, b), (b, a)):
    logits = jnp.concatenate([x @ y.T / 0.5, x @ x.T / 0.5 + off], axis=1)
    code += optax.softmax_cross_entropy_with_integer_labels(logits, label).mean()
  np.testing.assert_allclose(losses.ntxent(jnp.asarray(z), 0.5)[0], code / 2, rtol=1e-5)


def test_gradient_of_a_row_is_table_2_of_the_paper():
  """For one query u the paper gives -(1 - p+) v+ / tau + sum p- v- / tau (Table 2, NT-Xent)."""
  rng = np.random.default_rng(3)
  u, positive, negatives = rng.normal(size=4), rng.normal(size=4), rng.normal(size=(6, 4))
  tau = 0.5
  columns = np.vstack([positive, negatives])
  p = np.exp(columns @ u / tau)
  p /= p.sum()
  wanted = -(1 - p[0]) * positive / tau + p[1:] @ negatives / tau

  def loss(u):
    from contrastive_jax.losses import similarity

    stats = similarity.row_stats(u[None], jnp.asarray(columns, jnp.float32), temperature=tau)
    return stats.logsumexp[0] - u @ jnp.asarray(positive, jnp.float32) / tau

  np.testing.assert_allclose(jax.grad(loss)(jnp.asarray(u, jnp.float32)), wanted, atol=1e-5)


def test_bfloat16_embeddings_are_scored_in_float32(z):
  low = jnp.asarray(z, jnp.bfloat16)
  loss, _ = losses.ntxent(low, 0.1)
  assert loss.dtype == jnp.float32
  np.testing.assert_allclose(loss, ntxent_loop(np.asarray(low, np.float32), 0.1), rtol=1e-5)


def test_contrastive_accuracy_counts_the_rows_whose_positive_wins():
  # Images 0 and 1 agree between views; image 2's views point at images 0 and 1.
  z = jnp.asarray([[[1, 0.1], [1, 0]], [[0, 1], [0.1, 1]], [[1, 0.05], [0.05, 1]]], jnp.float32)
  u = np.asarray(losses.l2_normalize(z)).reshape(6, 2)
  s = u @ u.T
  wins = 0
  for i in range(6):
    positive = i + 1 if i % 2 == 0 else i - 1
    wins += all(s[i, positive] > s[i, j] for j in range(6) if j not in (i, positive))
  _, metrics = losses.ntxent(z, 0.5)
  np.testing.assert_allclose(metrics["contrastive_accuracy"], wins / 6)


def test_cross_entropy_ignores_examples_without_label():
  logits = jnp.asarray([[2.0, 0.0], [0.0, 3.0], [5.0, 0.0]])
  loss, accuracy = losses.cross_entropy(logits, jnp.asarray([0, 0, -1]))
  wanted = (np.log(1 + np.exp(-2.0)) + np.log(1 + np.exp(3.0))) / 2
  np.testing.assert_allclose(loss, wanted, rtol=1e-6)
  assert accuracy == 0.5
  assert losses.cross_entropy(logits, jnp.full(3, -1)) == (0.0, 0.0)
