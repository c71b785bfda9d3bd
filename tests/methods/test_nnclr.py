"""NNCLR against its equation in float64, the neighbours it takes and what enters its queue."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from contrastive_jax import errors, methods, models, parallel
from contrastive_jax.methods import nnclr

B, D, K = 8, 5, 16
ONE_GROUP = np.zeros(B, int)  # of one view: each view is normalised alone
TASK = methods.Task(num_images=64, num_classes=0, batch_size=B, image_size_px=2)
METHOD = nnclr.Method(0.2, queue_size=K, head_width=7, embedding_size=D, predictor_width=6)


def problem():
  net = METHOD.network(toys.Backbone())
  params, stats = toys.start(net)
  memory = METHOD.init_memory(net, {"params": params}, TASK, jax.random.key(1))
  return net, params, stats, memory, {"views": jnp.asarray(toys.views(B))}


def embeddings(params, views):
  """Unit z and p of one view."""
  z = toys.mlp(params["z"], toys.h(params, views, ONE_GROUP), ONE_GROUP)
  return toys.unit(z), toys.unit(toys.mlp(params["p"], z, ONE_GROUP))


def one_side(z, p, queue, tau):
  """Cross entropy of NN(z_i) against all p_j with target i, image by image."""
  total = 0.0
  for i in range(len(z)):
    nearest = min(queue, key=lambda key, i=i: np.sum((key - z[i]) ** 2))
    logits = np.array([nearest @ row / tau for row in p])
    total -= logits[i] - np.log(np.sum(np.exp(logits)))
  return total / len(z)


def test_the_loss_is_the_mean_of_both_sides_with_predictions_as_columns():
  net, params, stats, memory, batch = problem()
  views, queue = np.asarray(batch["views"]), np.asarray(memory["queue"]["keys"], np.float64)
  (z1, p1), (z2, p2) = (embeddings(params, views[:, view]) for view in range(2))
  wanted = 0.5 * one_side(z1, p2, queue, 0.2) + 0.5 * one_side(z2, p1, queue, 0.2)
  loss, aux = METHOD.loss(net, params, stats, memory, batch, None)
  np.testing.assert_allclose(loss, wanted, rtol=1e-4)
  assert aux.features["z"].shape == (B, 2, D)
  np.testing.assert_allclose(aux.carry, z1, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("tile", [1, 5, 16, 100])
def test_the_neighbour_is_the_most_similar_key_on_one_device_and_on_eight(tile):
  rng = np.random.default_rng(0)
  z, keys = (toys.unit(rng.normal(size=s)).astype(np.float32) for s in ((B, 2, D), (K, D)))
  wanted = np.array([[keys[np.argmax(keys @ v)] for v in pair] for pair in z])
  np.testing.assert_array_equal(nnclr.nearest(z, keys, tile), wanted)
  mesh = parallel.make_mesh()
  with parallel.use(mesh):
    arrays = parallel.put(z, mesh), parallel.replicate(keys, mesh)
    got = jax.jit(nnclr.nearest, static_argnums=2)(*arrays, tile)
  np.testing.assert_array_equal(got, wanted)
  assert not got.sharding.is_fully_replicated


def test_the_similarities_to_the_queue_are_never_all_there():
  z, keys = (jax.ShapeDtypeStruct(s, jnp.float32) for s in ((64, 2, 8), (16_384, 8)))
  needed = jax.jit(nnclr.nearest).lower(z, keys).compile().memory_analysis()
  assert needed.temp_size_in_bytes < 4 * 64 * 2 * 16_384 / 4


def test_no_gradient_passes_through_the_neighbour():
  z, keys = jnp.asarray(toys.unit(np.ones((B, 2, D)))), jnp.eye(D)
  for grad in jax.grad(lambda z, keys: nnclr.nearest(z, keys).sum(), (0, 1))(z, keys):
    assert not np.any(grad)


def test_the_first_views_embeddings_replace_the_oldest():
  net, params, stats, memory, batch = problem()
  _, aux = METHOD.loss(net, params, stats, memory, batch, None)
  after = METHOD.update_memory(memory, params, aux.carry, 0.5)["queue"]
  z1, _ = embeddings(params, np.asarray(batch["views"])[:, 0])
  np.testing.assert_allclose(after["keys"][:B], z1, rtol=1e-3, atol=1e-5)
  np.testing.assert_array_equal(after["keys"][B:], memory["queue"]["keys"][B:])


def test_the_heads_have_the_papers_widths():
  z, p = (head.module for head in nnclr.Method().network(models.backbone("resnet50")).heads)
  assert (z.hidden, z.out, z.last_bn) == ((2048, 2048), 256, "affine")
  assert (p.hidden, p.out, p.last_bn) == ((4096,), 256, "none")
  assert (z.bn_views, p.bn_views) == (2, 2)


def test_values_out_of_range_are_refused():
  with pytest.raises(errors.UserError, match="temperature 0 is outside"):
    nnclr.Method(temperature=0)
  with pytest.raises(errors.UserError, match="method.queue_size 7 .* batch_size 8"):
    nnclr.Method(queue_size=7).init_memory(None, {}, TASK, jax.random.key(0))
