"""A batch in parts gives the step of the undivided batch: loss, gradient, statistics, memory."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_config
import toys
import trial

from contrastive_jax import build, config, errors, methods, parallel
from contrastive_jax.models import resnet, vit

BATCH, GROUPS = 32, 8
RESNET = resnet.ResNet(
  (1,), resnet.BasicBlock, 8, stem="cifar_s2", zero_gamma=False, bn_groups=GROUPS
)
VIT = vit.ViT(8, 1, 2, patch_px=8)  # no batch norm


@functools.cache
def results(name, micro_batches, num_devices=1, backbone=RESNET):
  """Returns a method's loss, statistics, next memory and parameter gradient on given views."""
  method = trial.small(name)
  net = method.network(backbone).clone(micro_batches=micro_batches)
  views = jax.random.uniform(jax.random.key(0), (BATCH, method.num_views, 16, 16, 3))
  mesh = parallel.make_mesh(jax.devices()[:num_devices])
  with parallel.use(mesh):
    rows = {
      "views": np.asarray(views),
      "label": np.arange(BATCH, dtype=np.int32) % 4,
      "index": np.arange(BATCH, dtype=np.int32),
    }
    if method.num_local_views:
      rows["local_views"] = np.repeat(rows["views"][:, :1, :8, :8], method.num_local_views, axis=1)
    batch = parallel.put(rows, mesh)
    variables = jax.jit(lambda key: net.init(key, jnp.zeros((1, 16, 16, 3)), train=False))(
      jax.random.key(1)
    )
    task = methods.Task(BATCH, 4, BATCH, 16)
    memory = method.init_memory(net, variables, task, jax.random.key(2))
    stats = variables.get("batch_stats", {})
    state = parallel.replicate((variables["params"], stats, memory), mesh)

    def loss(params, stats, memory, batch):
      value, aux = method.loss(net, params, stats, memory, batch, jax.random.key(3))
      moved = jax.tree.map(lambda p: p + 0.1, params)  # so that a target has something to follow
      return value, (aux.stats, method.update_memory(memory, moved, aux.carry, jnp.float32(0.5)))

    step = jax.jit(jax.value_and_grad(loss, has_aux=True))
    return jax.device_get(step(*state, batch))


# No memory; a queue and shuffled groups; a target and statistics for each view; a bank; neighbours
# in a queue; views of two sizes; a number an image.
@pytest.mark.parametrize(
  "name",
  ["simclr", "moco", "byol", "instdisc"]
  + [pytest.param(name, marks=pytest.mark.thorough) for name in ("nnclr", "swav", "sogclr")],
)
def test_parts_give_the_undivided_step(name):
  trial.assert_close(results(name, 1), results(name, 4))


def test_parts_on_several_devices_give_the_undivided_step_of_one():
  trial.assert_close(results("moco", 1), results("moco", 2, 4))


def test_without_batch_norm_any_parts_give_the_undivided_step():
  trial.assert_close(results("moco", 1, 1, VIT), results("moco", 4, 2, VIT))


@pytest.mark.parametrize("name", ["moco", "byol"])
def test_recomputed_blocks_give_the_step_of_stored_ones(name):
  trial.assert_close(results(name, 1), results(name, 1, 1, RESNET.clone(remat=True)))


def test_parts_without_groups_differ():
  """What the check refuses: each part would have batch statistics of its own."""
  net, views = methods.get("simclr")().network(toys.Backbone()), toys.views(8)
  state = toys.start(net)
  whole, _ = methods.forward(net, *state, views)
  parts, _ = methods.forward(net.clone(micro_batches=2), *state, views)
  assert not np.allclose(whole["z"], parts["z"], atol=1e-2)


def test_parts_need_less_memory():
  def temporaries(micro_batches):
    net = resnet.resnet8(stem="cifar_s2", bn_groups=8)
    net = methods.get("simclr")().network(net).clone(micro_batches=micro_batches)
    views = jnp.zeros((256, 2, 32, 32, 3))
    variables = jax.eval_shape(lambda: net.init(jax.random.key(0), views[:1, 0], train=False))

    def loss(variables, views):
      ends, _ = methods.forward(net, variables["params"], variables["batch_stats"], views)
      return ends["z"].sum()

    compiled = jax.jit(jax.grad(loss)).lower(variables, views).compile()
    return compiled.memory_analysis().temp_size_in_bytes

  assert temporaries(8) < temporaries(1) / 4


@pytest.mark.parametrize(
  "changes, line",
  [
    ({"micro_batches": 0}, "micro_batches 0 is below 1"),
    ({"micro_batches": 2}, "needs model.bn_groups to be a multiple of 2, it is 1"),
    ({"micro_batches": 2, "model__bn_groups": 3}, "multiple of 2, it is 3"),
    ({"micro_batches": 2, "model__bn_groups": 6}, "batch_size 16 is not divisible by 6"),
  ],
)
def test_what_would_change_the_numbers_is_refused(changes, line):
  with pytest.raises(errors.UserError, match=line):
    build.check_micro_batches(tiny_config.tiny(**changes), 1)


def test_without_batch_norm_parts_need_no_groups():
  c = tiny_config.tiny("moco", micro_batches=4)
  c.model = config.pretrain(model="vit_tiny").model
  c.model.patch_px = 8
  build.check_micro_batches(c, 2)
  c.batch_size = 12
  with pytest.raises(errors.UserError, match="batch_size 12 is not divisible by 4 parts on 2"):
    build.check_micro_batches(c, 2)
