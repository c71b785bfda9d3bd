"""MoCo v3: cross entropy over the other side of the batch, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from contrastive_jax import errors, methods, models
from contrastive_jax.methods import moco_v3

B, D = 8, 5
SMALL = {"head_width": 7, "embedding_size": D, "predictor_width": 6}
ONE_GROUP = np.zeros(B, int)  # of one view: each view is normalised alone
TASK = methods.Task(num_images=64, num_classes=0, batch_size=B, image_size_px=2)


def cross_entropy_loop(rows, columns, tau):
  """Mean over rows i of -log softmax_i(rows_i . columns / tau)."""
  total = 0.0
  for i in range(len(rows)):
    logits = np.array([rows[i] @ c / tau for c in columns])
    total -= logits[i] - np.log(np.sum(np.exp(logits)))
  return total / len(rows)


def problem(method):
  net = method.network(toys.Backbone())
  params, stats = toys.start(net)
  return net, params, stats, {"views": jnp.asarray(toys.views(B))}


@pytest.mark.parametrize("predictor_bn", [False, True])
@pytest.mark.parametrize("tau", [0.2, 1.0])
def test_moco_v3_is_both_cross_entropies_times_two_tau(tau, predictor_bn):
  method = moco_v3.Method(tau, **SMALL, predictor_bn=predictor_bn)
  net, params, stats, batch = problem(method)
  target, _ = toys.start(net, seed=1)
  target.pop("q")
  views, wanted = np.asarray(batch["views"]), 0.0

  def z(params, view):
    h = toys.h(params, views[:, view], ONE_GROUP)
    return toys.mlp(params["z"], h, ONE_GROUP, last_plain=True)

  for view in range(2):
    q = toys.unit(toys.mlp(params["q"], z(params, view), ONE_GROUP, last_plain=predictor_bn))
    wanted += 2 * tau * cross_entropy_loop(q, toys.unit(z(target, 1 - view)), tau)
  loss, aux = method.loss(net, params, stats, {"target": target}, batch, None)
  np.testing.assert_allclose(loss, wanted, rtol=1e-4)
  assert aux.features["z"].shape == (B, 2, D) and aux.features["h"].shape == (B, 2, 6)


def test_no_gradient_enters_the_keys():
  method = moco_v3.Method(**SMALL)
  net, params, stats, batch = problem(method)
  memory = method.init_memory(net, {"params": params}, TASK, None)
  grads = jax.grad(lambda m: method.loss(net, params, stats, m, batch, None)[0])(memory)
  assert not any(np.any(leaf) for leaf in jax.tree.leaves(grads))


def test_the_target_starts_as_a_copy_without_predictor_and_follows_along_a_cosine():
  method = moco_v3.Method(**SMALL, momentum=0.98)
  net, params, *_ = problem(method)
  memory = method.init_memory(net, {"params": params}, TASK, None)
  jax.tree.map(
    np.testing.assert_array_equal,
    memory["target"],
    {"backbone": params["backbone"], "z": params["z"]},
  )
  new = jax.tree.map(lambda p: p + 1, params)
  for progress, moved in ((0.0, 0.02), (0.5, 0.01), (1.0, 0.0)):
    after = method.update_memory(memory, new, None, jnp.float32(progress))["target"]
    jax.tree.map(
      lambda a, p, m=moved: np.testing.assert_allclose(a - p, m, atol=1e-6), after, memory["target"]
    )


def parameters(module, features):
  x = jnp.zeros((1, features))
  shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x, False))
  return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


def test_the_heads_are_those_of_the_released_code():
  resnet, vit = models.backbone("resnet50"), models.backbone("vit_small")
  z, q = (head.module for head in moco_v3.Method().network(resnet).heads)
  assert parameters(z, 2048) == 2048 * 4096 + 2 * 4096 + 4096 * 256
  assert parameters(q, 256) == 256 * 4096 + 2 * 4096 + 4096 * 256
  assert (z.last_bn, q.last_bn, z.bn_views, q.bn_views) == ("plain", "none", 2, 2)
  method = moco_v3.Method(head_layers=3, predictor_bn=True)
  z, q = (head.module for head in method.network(vit).heads)
  assert parameters(z, 384) == 384 * 4096 + 4096 * 4096 + 4 * 4096 + 4096 * 256
  assert (z.last_bn, q.last_bn) == ("plain", "plain")


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"temperature": 0}, "temperature 0 is outside"),
    ({"head_layers": 0}, "head_layers 0 is below 1"),
    ({"momentum": -1}, "momentum -1 is not a momentum"),
  ],
)
def test_a_value_out_of_range_is_refused(options, message):
  with pytest.raises(errors.UserError, match=message):
    moco_v3.Method(**options)
