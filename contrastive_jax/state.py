"""The state of a run: everything that a resumed run needs and nothing that can be derived."""

from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Int, PyTree

from contrastive_jax import keys, methods, once, online, parallel
from contrastive_jax.models.network import Network


@flax.struct.dataclass
class TrainState:
  """One pytree, replicated over devices.

  Attributes:
    step: optimiser steps taken. Epoch, data position and random keys follow from it.
    params, stats: weights and batch-norm statistics of the network.
    opt_state: of the optimiser.
    memory: of the method: target network, queue, bank; {} if it has none.
    probe: the online linear classifier, {} if the data has no labels.
  """

  step: Int[Array, ""]
  params: PyTree
  stats: PyTree
  opt_state: Any
  memory: PyTree
  probe: PyTree


def create(
  method: methods.Method,
  net: Network,
  optimizer: optax.GradientTransformation,
  probe: online.Probe,
  task: methods.Task,
  *,
  seed: int,
  mesh: Mesh,
) -> TrainState:
  """Initialises a state on all devices of `mesh`; equal for equal seeds, whatever the mesh."""

  def init(key):
    net_key, memory_key = jax.random.split(key)
    image = jnp.zeros((1, task.image_size_px, task.image_size_px, 3))
    variables = net.init(net_key, image, train=False)
    ends = jax.eval_shape(lambda: net.apply(variables, image, train=False))
    params, stats = variables["params"], variables.get("batch_stats", {})
    return TrainState(
      step=jnp.zeros((), jnp.int32),
      params=params,
      stats=stats,
      opt_state=optimizer.init(params),
      memory=method.init_memory(net, variables, task, memory_key),
      probe=probe.init(ends["h"].shape[-1]),
    )

  with parallel.use(mesh):
    return once.jit(init, out_shardings=parallel.replicated(mesh))(keys.stream(seed, "init"))
