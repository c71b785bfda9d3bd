"""The state of a run: everything that a resumed run needs and nothing that can be derived."""

import math
from collections.abc import Callable
from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Int, PyTree

from contrastive_jax import compiling, keys, limits, methods, parallel
from contrastive_jax.models.network import Network
from contrastive_jax.step import online

_IN_PARTS = ("params", "opt_state", "memory")  # of a state with `fsdp`


@flax.struct.dataclass
class TrainState:
  """One pytree, replicated over devices, or its big leaves cut over them (`shardings`).

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
  init: Callable[..., TrainState],
  *,
  seed: int,
  mesh: Mesh,
  fsdp: bool = False,
  given: PyTree | None = None,
) -> TrainState:
  """Runs an `initialiser` on all devices of `mesh`; equal for equal seeds, whatever the mesh.

  With `given` some variables are those and not drawn; see `initialiser`.

  Raises `UserError` for a state of which this host could not hold its share: where the devices are
  CPUs all of it, else what is copied there to be saved, an equal part for each process.
  """
  key = keys.stream(seed, "init")
  with parallel.use(mesh):
    shapes = jax.eval_shape(init, key)
    share = 1 if mesh.devices.flat[0].platform == "cpu" else jax.process_count()
    held = {
      "weights": _bytes(shapes.params) // share,
      "the optimiser's arrays": _bytes(shapes.opt_state) // share,
      "what the method remembers": _bytes(shapes.memory) // share,
    }
    limits.check_host(held, "make the network's width or what the method remembers smaller")
    from_given = () if given is None else (given,)
    return compiling.once(init, out_shardings=shardings(shapes, mesh, fsdp))(key, *from_given)


def _bytes(tree: PyTree) -> int:
  return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def divided(init: Callable[[Array], TrainState], mesh: Mesh) -> Mesh:
  """Returns the mesh of the same devices that divides a state in parts best; computes nothing."""
  with parallel.use(mesh):
    shapes = jax.eval_shape(lambda: init(keys.stream(0, "init")))
  return parallel.with_shards(mesh, [getattr(shapes, name) for name in _IN_PARTS])


def what_is_cut(state: TrainState, mesh: Mesh) -> str:
  """Says how much of a state is in parts, and over how many devices."""
  leaves = jax.tree.leaves(state)
  whole = sum(x.nbytes for x in leaves)
  cut = sum(x.nbytes for x in leaves if not x.is_fully_replicated)
  held = sum(math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in leaves)
  shards = mesh.shape[mesh.axis_names[-1]]
  over = f"{shards} devices" if shards == mesh.size else f"{shards} of {mesh.size} devices"
  return (
    f"state in parts: {100 * cut / whole:.1f} % of {whole / 1e6:,.1f} MB is cut over {over}; "
    f"a device holds {held / 1e6:,.1f} MB"
  )


def shardings(state: TrainState, mesh: Mesh, fsdp: bool) -> TrainState:
  """Returns where the leaves of a state lie; `fsdp` cuts the big ones over the devices."""
  whole = jax.tree.map(lambda _: parallel.replicated(mesh), state)
  if not fsdp:
    return whole
  cut = parallel.cut(state, mesh)
  return whole.replace(**{name: getattr(cut, name) for name in _IN_PARTS})


def initialiser(
  method: methods.Method,
  net: Network,
  optimizer: optax.GradientTransformation,
  probe: online.Probe,
  task: methods.Task,
) -> Callable[..., TrainState]:
  """Returns the function of a key that makes the first state of a run.

  A second argument, "params" and "batch_stats" of a part of the network, stands in for what is
  drawn of it: in the network, and in the target network of a method that has one.
  """

  def init(key, given=None):
    net_key, memory_key = jax.random.split(key)
    image = jnp.zeros((1, task.image_size_px, task.image_size_px, task.channels))
    variables = net.init(net_key, image, train=False) | {}
    for name, part in (given or {}).items():
      variables[name] = variables[name] | part
    ends = jax.eval_shape(lambda: net.apply(variables, image, train=False))
    params, stats = variables["params"], variables.get("batch_stats", {})
    memory = method.init_memory(net, variables, task, memory_key)
    if given and "target" in memory:
      memory = memory | {"target": memory["target"] | given["params"]}
    return TrainState(
      step=jnp.zeros((), jnp.int32),
      params=params,
      stats=stats,
      opt_state=optimizer.init(params),
      memory=memory,
      probe=probe.init(ends["h"].shape[-1]),
    )

  return init
