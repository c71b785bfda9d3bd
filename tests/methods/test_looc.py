"""LooC: its loss against the paper's formula, and which draws of an image's views are linked."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax import augment, errors
from contrastive_jax.methods import looc

B, N, D, K = 5, 2, 7, 11  # images, kept augmentations, size of z, keys in a queue
TAU = 0.2


def unit(x):
  return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.fixture
def arrays():
  rng = np.random.default_rng(0)
  q, k = rng.normal(size=(B, N + 1, D)), rng.normal(size=(B, N + 1, N + 1, D))
  queues = rng.normal(size=(N + 1, K, D))
  return tuple(unit(x).astype(np.float32) for x in (q, k, queues))


def oracle(q, k, queues, tau):
  """Section 3.1, written out: E_ij = exp(z^i_q . z^i_kj / tau)."""
  q, k, queues = (x.astype(np.float64) for x in (q, k, queues))
  total = 0.0
  for b in range(len(q)):
    for i in range(N + 1):
      e = [np.exp(q[b, i] @ k[b, j, i] / tau) for j in range(N + 1)]
      negatives = sum(np.exp(q[b, i] @ key / tau) for key in queues[i])
      same_image = e[0] if i == 0 else sum(e)
      total -= np.log(e[i] / (same_image + negatives))
  return total / len(q) / (N + 1)


def loss_of(q, k, queues, tau=TAU, **options):
  return looc.looc(jnp.asarray(q), jnp.asarray(k), list(queues), tau, **options)[0]


@pytest.mark.parametrize("tau", [0.07, 0.2, 1.0])
def test_the_loss_is_the_papers_formula(arrays, tau):
  np.testing.assert_allclose(loss_of(*arrays, tau), oracle(*arrays, tau), rtol=1e-5)
  tiled = loss_of(*arrays, tau, implementation="tiled")
  np.testing.assert_allclose(tiled, oracle(*arrays, tau), rtol=1e-5)


def test_without_a_queue_the_batchs_other_images_are_the_negatives(arrays):
  q, k, _ = arrays
  alone = [
    oracle(
      q[b : b + 1], k[b : b + 1], np.stack([np.delete(k[:, i, i], b, 0) for i in range(N + 1)]), TAU
    )
    for b in range(B)
  ]
  found = looc.looc(jnp.asarray(q), jnp.asarray(k), None, TAU)[0]
  np.testing.assert_allclose(found, np.mean(alone), rtol=1e-5)


def test_equal_embeddings_give_the_logs_of_the_numbers_of_columns():
  """Space 0 sees its positive and the queue, space i all n + 1 views of the image and the queue."""
  ones = [np.ones(shape) / np.sqrt(D) for shape in ((B, N + 1, D), (B, N + 1, N + 1, D))]
  queues = [jnp.ones((K, D)) / np.sqrt(D)] * (N + 1)
  wanted = (np.log(1 + K) + N * np.log(N + 1 + K)) / (N + 1)
  np.testing.assert_allclose(loss_of(*ones, queues), wanted, rtol=1e-6)


def test_other_views_of_the_image_repel_in_the_kept_spaces_alone(arrays):
  q, k, queues = arrays
  grads = np.asarray(jax.grad(lambda k: loss_of(q, k, queues))(jnp.asarray(k)))  # [B, view, space]
  along = np.einsum("bjid,bid->bji", grads, q)  # negative: the loss falls if they come closer
  for space in range(N + 1):
    for view in range(N + 1):
      if view == space:
        assert (along[:, view, space] < 0).all()
      elif space == 0:
        assert (grads[:, view, space] == 0).all()
      else:
        assert (along[:, view, space] > 0).all()


def test_accuracy_counts_the_views_of_the_image_as_rivals():
  q = np.zeros((1, 2, 2))
  q[..., 0] = 1
  k = np.zeros((1, 2, 2, 2))
  k[0, 0, 0] = (1, 0)  # space 0: k_0 agrees
  k[0, 1, 1] = (0.6, 0.8)  # space 1: k_1 is near, k_0 is nearer
  k[0, 0, 1] = (0.8, 0.6)
  queues = [jnp.asarray([[0.0, 1.0]])] * 2
  _, metrics = looc.looc(jnp.asarray(q), jnp.asarray(k), queues, TAU)
  assert [float(a) for a in metrics["accuracies"]] == [1.0, 0.0]
  assert metrics["contrastive_accuracy"] == 0.5


def linked(kept, **options):
  method = looc.Method(kept=kept)
  recipe = augment.recipe("moco_v2", 16, num_views=method.num_views, **options)

  @jax.jit
  @jax.vmap
  def sample(key):
    params = augment.sample_views(recipe, key, jnp.full(2, 16))
    return params, method.link_views(params)

  return sample(jax.random.split(jax.random.key(0), 16))


def test_view_i_shares_the_draws_of_kept_augmentation_i_with_the_query_and_no_others():
  drawn, params = linked(("rotation", "color"), rotate=1.0)
  query = params[0]
  assert len(params) == 4
  for view, shared in enumerate([(), ("rotate",), ("jitter", "grey")], start=1):
    for name in query:
      source = query if name in shared else drawn[view]
      jax.tree.map(np.testing.assert_array_equal, params[view][name], source[name])
      same = jax.tree.map(np.array_equal, params[view][name], query[name])
      assert all(jax.tree.leaves(same)) == (name in shared), name


def test_a_factor_that_the_recipe_lacks_is_an_error_with_the_flag():
  with pytest.raises(errors.UserError, match="set --config.augment.rotate=1"):
    linked(("rotation",))
  with pytest.raises(errors.UserError, match='kept "color" needs jitter or grey or solarize'):
    linked(("color",), color_strength=0)
  assert len(linked(("color",))[1]) == 3


@pytest.mark.parametrize("kept", [(), ("colour",), ("color", "color")])
def test_an_unknown_factor_is_refused_with_the_list(kept):
  with pytest.raises(errors.UserError, match="of color, rotation, grey, blur, crop, flip, noise"):
    looc.Method(kept=kept)


def test_the_defaults_are_the_papers():
  method = looc.Method()
  assert (method.temperature, method.momentum, method.queue_size) == (0.2, 0.999, 16384)
  assert (method.embedding_size, method.head_width, method.num_views) == (128, None, 4)
