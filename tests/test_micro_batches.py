"""A batch computed in parts gives the step of the undivided batch: loss, gradient, statistics."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import test_methods
import tiny_config
import toys

from contrastive_jax import build, errors, methods, parallel
from contrastive_jax.models import resnet

BATCH, GROUPS = 32, 8


@functools.cache
def loss_gradient_stats(name, micro_batches, num_devices=1):
  """Returns a method's loss, parameter gradient and new statistics on given views."""
  method = test_methods.small(name)
  backbone = resnet.ResNet(
    (1,), resnet.BasicBlock, 8, stem="cifar_s2", zero_gamma=False, bn_groups=GROUPS
  )
  net = method.network(backbone).clone(micro_batches=micro_batches)
  views = (BATCH, method.num_views, 16, 16, 3)
  mesh = parallel.make_mesh(jax.devices()[:num_devices])
  with parallel.use(mesh):
    rows = {
      "views": np.asarray(jax.random.uniform(jax.random.key(0), views)),
      "label": np.arange(BATCH, dtype=np.int32) % 4,
      "index": np.arange(BATCH, dtype=np.int32),
    }
    batch = parallel.put(rows, mesh)
    variables = jax.jit(lambda key: net.init(key, jnp.zeros((1, 16, 16, 3)), train=False))(
      jax.random.key(1)
    )
    task = methods.Task(BATCH, 4, BATCH, 16)
    memory = method.init_memory(net, variables, task, jax.random.key(2))
    state = parallel.replicate((variables["params"], variables["batch_stats"], memory), mesh)

    def loss(params, stats, memory, batch):
      value, aux = method.loss(net, params, stats, memory, batch, jax.random.key(3))
      return value, aux.stats

    step = jax.jit(jax.value_and_grad(loss, has_aux=True))
    return jax.device_get(step(*state, batch))


# No memory; a queue and shuffled groups; a target and statistics for each view.
@pytest.mark.parametrize("name", ["simclr", "moco", "byol"])
def test_parts_give_the_undivided_step(name):
  whole, parts = loss_gradient_stats(name, 1), loss_gradient_stats(name, 4)
  test_methods.assert_close(whole, parts)


def test_parts_on_several_devices_give_the_undivided_step_of_one():
  test_methods.assert_close(loss_gradient_stats("moco", 1), loss_gradient_stats("moco", 2, 4))


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
