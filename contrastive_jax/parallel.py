"""The device mesh and every movement of data over it: the only file that names a mesh axis.

The program is written for global arrays under `jax.jit`: the batch is sharded over one mesh axis,
everything else is replicated. The axis is Explicit, so a step that would silently move images or
repeat the whole batch on every device fails while it is traced, with the line that did it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, PyTree

from contrastive_jax import errors

_DATA = "data"
_CUT_FROM = 65_536  # numbers in a leaf: below, an all-gather waits longer than it saves


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
  """Returns a one-axis Explicit mesh over `devices` (all devices of all processes by default).

  Devices are ordered by process, so that process p's rows of a batch are one contiguous block.
  """
  devices = jax.devices() if devices is None else devices
  ordered = sorted(devices, key=lambda d: (d.process_index, d.id))
  return Mesh(np.asarray(ordered), (_DATA,), axis_types=(AxisType.Explicit,))


def use(mesh: Mesh):
  """Returns a context manager in which `mesh` is the mesh of every traced program."""
  return jax.set_mesh(mesh)


def default_mesh() -> Mesh:
  """Returns the mesh of `use`, outside of it one over all devices."""
  mesh = jax.sharding.get_mesh()
  return make_mesh() if mesh.empty else mesh


def check_batch_size(batch_size: int, num_devices: int, key: str = "batch_size") -> None:
  """Raises `UserError`, with `key`, unless `batch_size` images divide evenly over `num_devices`."""
  if batch_size < 1:
    raise errors.UserError(f"{key} {batch_size} is not positive; use {num_devices} or more")
  if batch_size % num_devices:
    below = batch_size - batch_size % num_devices
    choices = [str(n) for n in (below, below + num_devices) if n > 0]
    raise errors.UserError(
      f"{key} {batch_size} is not divisible by {num_devices} devices; use " + " or ".join(choices)
    )


def put(host_batch: PyTree[np.ndarray], mesh: Mesh) -> PyTree[Array]:
  """Builds global arrays, sharded on axis 0, from each process's own contiguous block of rows."""
  sharding = sharded(mesh)
  return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), host_batch)


def replicate(tree: PyTree, mesh: Mesh) -> PyTree[Array]:
  """Copies `tree`, which every process holds alike, to all devices."""
  return jax.device_put(tree, NamedSharding(mesh, P()))


def replicated(mesh: Mesh) -> NamedSharding:
  """Returns the sharding of an array that every device holds whole."""
  return NamedSharding(mesh, P())


def sharded(mesh: Mesh) -> NamedSharding:
  """Returns the sharding of a batch: axis 0 is divided over the devices."""
  return NamedSharding(mesh, P(_DATA))


def cut(tree: PyTree, mesh: Mesh) -> PyTree[NamedSharding]:
  """Returns the sharding of each leaf in parts: fully sharded data parallel, ZeRO.

  A leaf of at least 65,536 numbers is cut along its longest axis that the devices divide; all else
  is on every device (Rajbhandari et al., "ZeRO", SC 2020, cuts every leaf).
  """

  def place(leaf):
    axes = [axis for axis, size in enumerate(leaf.shape) if size % mesh.size == 0]
    if leaf.size < _CUT_FROM or not axes:
      return replicated(mesh)
    longest = max(axes, key=lambda axis: leaf.shape[axis])
    return NamedSharding(
      mesh, P(*(_DATA if axis == longest else None for axis in range(leaf.ndim)))
    )

  return jax.tree.map(place, tree)


def whole(tree: PyTree[Array]) -> PyTree[Array]:
  """All-gathers the leaves that are stored in parts; its transpose is a reduce-scatter."""
  return jax.tree.map(gather, tree)


def as_stored(tree: PyTree[Array], like: PyTree[Array]) -> PyTree[Array]:
  """Keeps on each device the part of `tree` that it has of `like`."""
  if not _mesh_in_use():
    return tree
  return jax.tree.map(lambda x, y: jax.sharding.reshard(x, jax.typeof(y).sharding.spec), tree, like)


def gather(x: Array) -> Array:
  """All-gathers a batch-sharded array to every device; its transpose sums over devices."""
  return jax.sharding.reshard(x, P()) if _mesh_in_use() else x


def scatter(x: Array) -> Array:
  """Shards axis 0 of a replicated array over the data axis (no communication)."""
  return jax.sharding.reshard(x, P(_DATA)) if _mesh_in_use() else x


def look_up(table: Array, index: Array) -> Array:
  """Returns the rows `index` of a replicated table, sharded as `index` is (no communication)."""
  if not _mesh_in_use():
    return table[index]
  return table.at[index].get(out_sharding=jax.typeof(index).sharding)


def split_rows(x: Array, count: int, strided: bool = False) -> Array:
  """Cuts a batch [B, ...] into `count` parts [count, B / count, ...] without communication.

  Every device cuts its own rows, into blocks or, `strided`, into sets of every count-th row; so a
  part is spread over the devices as the batch is.
  """

  def cut(x):
    rest = x.shape[1:]
    return x.reshape(-1, count, *rest).swapaxes(0, 1) if strided else x.reshape(count, -1, *rest)

  if not _mesh_in_use():
    return cut(x)
  return jax.shard_map(cut, in_specs=P(_DATA), out_specs=P(None, _DATA))(x)


def join_rows(x: Array, strided: bool = False) -> Array:
  """Undoes `split_rows`: [count, B / count, ...] -> [B, ...] in the old order."""

  def join(x):
    return (x.swapaxes(0, 1) if strided else x).reshape(-1, *x.shape[2:])

  if not _mesh_in_use():
    return join(x)
  return jax.shard_map(join, in_specs=P(None, _DATA), out_specs=P(_DATA))(x)


def over_rows(f: Callable[..., Any], rows: PyTree[Array], against: PyTree[Array]) -> Any:
  """Calls `f(rows, against)` with each device's own rows and the whole of `against`.

  The leaves of `rows` are sharded as the batch and stay where they are. A leaf of `against` that is
  sharded is all-gathered, whose transpose is a reduce-scatter; one that is replicated is used as it
  is, and its transpose is an all-reduce. Either way the gradient of a column is the sum of what all
  devices contribute to it. `f` returns arrays whose leading axis is that of the rows.
  """
  if not _mesh_in_use():
    return f(rows, against)

  def whole(x, spec):
    if spec == P(_DATA):
      return jax.lax.all_gather(x, _DATA, tiled=True)
    return jax.lax.pcast(x, _DATA, to="varying")

  specs = jax.tree.map(lambda x: P(_DATA) if is_sharded(x) else P(), against)

  def local(rows, against):
    return f(rows, jax.tree.map(whole, against, specs))

  return jax.shard_map(local, in_specs=(P(_DATA), specs), out_specs=P(_DATA))(rows, against)


def over_own_rows(f: Callable[..., Any], rows: PyTree[Array], against: PyTree[Array]) -> Any:
  """Calls `f(rows, against)` with each device's own rows of both; `pass_on` works inside `f`."""
  return jax.shard_map(f, in_specs=(P(_DATA), P(_DATA)), out_specs=P(_DATA))(rows, against)


def pass_on(tree: PyTree[Array], by: int = 1) -> PyTree[Array]:
  """Inside `over_own_rows`: gives `tree` to the device `by` places on in the ring; takes one."""
  count = num_devices()
  ring = [(i, (i + by) % count) for i in range(count)]
  return jax.tree.map(lambda x: jax.lax.ppermute(x, _DATA, ring), tree)


def num_devices() -> int:
  """Returns over how many devices the batch of the program being traced is spread."""
  return jax.sharding.get_abstract_mesh().shape[_DATA] if _mesh_in_use() else 1


def sum_of_products(a: Array, b: Array) -> Array:
  """Returns a.T @ b, summed over the rows of all devices and replicated, in full float32."""
  out = P() if _mesh_in_use() else None
  return jnp.einsum("nd,ne->de", a, b, precision="highest", out_sharding=out)


def local_rows(x: Array) -> np.ndarray:
  """Returns this process's rows of a batch-sharded array, in order, as numpy."""
  shards = sorted(x.addressable_shards, key=lambda s: s.index[0].start or 0)
  return np.concatenate([np.asarray(s.data) for s in shards])


def fetch(tree: PyTree[Array]) -> PyTree[np.ndarray]:
  """Copies arrays to the host: from this process's first device, or from where their parts are."""

  def one(x):
    if x.is_fully_replicated:
      return np.asarray(x.addressable_data(0))
    return np.asarray(jax.device_put(x, NamedSharding(x.sharding.mesh, P())).addressable_data(0))

  return jax.tree.map(one, tree)


def _mesh_in_use() -> bool:
  return not jax.sharding.get_abstract_mesh().empty


def is_sharded(x: Array) -> bool:
  """Returns whether the rows of `x` are spread over the devices."""
  return _mesh_in_use() and _DATA in jax.tree.leaves(tuple(jax.typeof(x).sharding.spec))


def row_ids(num_rows: int) -> Array:
  """Returns int32 `arange(num_rows)`, sharded as a batch when a mesh is in use."""
  return scatter(jnp.arange(num_rows, dtype=jnp.int32))


def constant_rows(like: Array, value: int) -> Array:
  """Returns int32 [len(like)] of `value`, sharded on axis 0 if `like` is."""
  rows = jnp.full(len(like), value, jnp.int32)
  return scatter(rows) if is_sharded(like) else rows
