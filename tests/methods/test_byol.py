"""BYOL and SimSiam in float64: their equations, their constants, their stopped branches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from contrastive_jax import errors, losses, methods, models
from contrastive_jax.methods import byol, simsiam

B, D = 8, 5
SMALL_BYOL = byol.Method(head_width=7, embedding_size=D, predictor_width=6)
SMALL_SIMSIAM = simsiam.Method(head_width=7, embedding_size=D, predictor_width=3)
ONE_GROUP = np.zeros(B, int)  # of one view: each view is normalised alone


def problem(method):
  net = method.network(toys.Backbone())
  params, stats = toys.start(net)
  target, _ = toys.start(net, seed=1)
  memory = {"target": {k: target[k] for k in ("backbone", "z")}}
  return net, params, stats, memory, {"views": jnp.asarray(toys.views(B))}


def embeddings(params, views, last_plain=False):
  """z and p of one view, not yet normalised."""
  z = toys.mlp(params["z"], toys.h(params, views, ONE_GROUP), ONE_GROUP, last_plain)
  return z, toys.mlp(params["p"], z, ONE_GROUP) if "p" in params else z


def cosines(a, b):
  return np.sum(toys.unit(a) * toys.unit(b), axis=1)


def byol_loss(params, target, views):
  """Grill et al., eq. 2 for both views: |q(z) - z'|^2 of unit vectors, added, mean over images."""
  total = 0.0
  for view in range(2):
    q = toys.unit(embeddings(params, views[:, view])[1])
    z = toys.unit(embeddings(target, views[:, 1 - view])[0])
    total += np.mean(np.sum((q - z) ** 2, axis=1))
  return total


@pytest.mark.parametrize("predictor", [True, False])
def test_byol_is_the_papers_distance_with_both_views_added(predictor):
  method = byol.Method(7, D, predictor, 6)
  net, params, stats, memory, batch = problem(method)
  loss, aux = method.loss(net, params, stats, memory, batch, None)
  wanted = byol_loss(params, memory["target"], np.asarray(batch["views"]))
  np.testing.assert_allclose(loss, wanted, rtol=1e-4)
  assert aux.features["z"].shape == (B, 2, D) and aux.features["h"].shape == (B, 2, 6)
  assert ("p" in params) == predictor


def test_no_gradient_enters_the_target():
  net, params, stats, memory, batch = problem(SMALL_BYOL)
  grads = jax.grad(lambda m: SMALL_BYOL.loss(net, params, stats, m, batch, None)[0])(memory)
  assert not any(np.any(leaf) for leaf in jax.tree.leaves(grads))


def test_the_target_starts_elsewhere_and_without_a_predictor():
  net, params, stats, *_ = problem(SMALL_BYOL)
  task = methods.Task(num_images=64, num_classes=0, batch_size=B, image_size_px=2)
  variables = net.init(jax.random.key(0), jnp.zeros((1, 2, 2, 3)), train=False)
  target = SMALL_BYOL.init_memory(net, variables, task, jax.random.key(1))["target"]
  assert set(target) == {"backbone", "z"}
  ours = {k: variables["params"][k] for k in target}
  assert jax.tree.map(jnp.shape, ours) == jax.tree.map(jnp.shape, target)
  for path in (("backbone", "dense"), ("z", "dense1"), ("z", "dense2")):
    a, b = (tree[path[0]][path[1]]["kernel"] for tree in (ours, target))
    assert np.abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.7 and not np.allclose(a, b)


@pytest.mark.parametrize(("progress", "momentum"), [(0.0, 0.99), (0.5, 0.995), (1.0, 1.0)])
def test_the_momentum_of_the_target_rises_to_one(progress, momentum):
  method = byol.Method(7, D, True, 6, momentum=0.99)
  _, params, _, memory, _ = problem(method)
  after = method.update_memory(memory, params, None, jnp.float32(progress))
  old, new = memory["target"]["z"]["dense1"]["kernel"], params["z"]["dense1"]["kernel"]
  moved = np.asarray(after["target"]["z"]["dense1"]["kernel"]) - old
  np.testing.assert_allclose(moved, (1 - momentum) * (new - old), atol=1e-6)


def test_simsiam_is_half_the_sum_of_both_negative_cosines():
  net, params, stats, _, batch = problem(SMALL_SIMSIAM)
  views = np.asarray(batch["views"])
  (z1, p1), (z2, p2) = (embeddings(params, views[:, v], last_plain=True) for v in range(2))
  wanted = np.mean(-0.5 * cosines(p1, z2) - 0.5 * cosines(p2, z1))  # Chen and He, eq. 2
  loss, aux = SMALL_SIMSIAM.loss(net, params, stats, {}, batch, None)
  np.testing.assert_allclose(loss, wanted, rtol=1e-4)
  np.testing.assert_allclose(aux.features["z"][:, 0], z1, rtol=1e-3, atol=1e-4)


def test_simsiam_pushes_nothing_through_z_unless_asked():
  """The gradient equals that of the loss with z replaced by a constant."""
  net, params, stats, _, batch = problem(SMALL_SIMSIAM)

  def loss(params, method):
    return method.loss(net, params, stats, {}, batch, None)[0]

  def with_constant(params):
    ends, _ = methods.forward(net, params, stats, batch["views"])
    return -jnp.mean(jnp.sum(losses.l2_normalize(ends["p"]) * z[:, ::-1], axis=-1))

  z = losses.l2_normalize(methods.forward(net, params, stats, batch["views"])[0]["z"])
  stopped = jax.grad(loss)(params, SMALL_SIMSIAM)
  wanted = jax.grad(with_constant)(params)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), stopped, wanted)
  free = jax.grad(loss)(params, simsiam.Method(3, 7, D, 3, stop_gradient=False))
  assert not np.allclose(free["z"]["dense1"]["kernel"], stopped["z"]["dense1"]["kernel"], atol=1e-4)


def parameters(module, features):
  x = jnp.zeros((1, features))
  shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x, False))
  return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


def test_the_heads_are_those_of_the_papers():
  backbone = models.backbone("resnet50")
  g, q = (head.module for head in byol.Method().network(backbone).heads)
  assert parameters(g, 2048) == 2048 * 4096 + 2 * 4096 + 4096 * 256
  assert parameters(q, 256) == 256 * 4096 + 2 * 4096 + 4096 * 256
  f, h = (head.module for head in simsiam.Method().network(backbone).heads)
  assert parameters(f, 2048) == 3 * 2048**2 + 2 * 2 * 2048
  assert parameters(h, 2048) == 2048 * 512 + 2 * 512 + 512 * 2048 + 2048
  for module in (g, q, f, h):
    assert module.bn_views == 2


def test_a_value_out_of_range_is_refused():
  with pytest.raises(errors.UserError, match="method.momentum 2 is not a momentum"):
    byol.Method(momentum=2)
  with pytest.raises(errors.UserError, match="method.head_layers 0 is below 1"):
    simsiam.Method(head_layers=0)
