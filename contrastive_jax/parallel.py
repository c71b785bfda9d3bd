"""The device mesh and every movement of data over it: the only file that names a mesh axis.

The program is written for global arrays under `jax.jit`: the batch is sharded over all devices,
everything else is replicated, or stored in parts and gathered where it is used. The axes are
Explicit, so a step that would silently move images or repeat the whole batch on every device fails
while it is traced, with the line that did it.

A mesh has one axis, or two where the devices do not divide a state: it is then cut over the shards
and repeated over the replicas, and the batch lies over both.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, PyTree

from contrastive_jax import errors

_DATA, _REPLICAS, _SHARDS = "data", "replicas", "shards"
_TABLE = 16  # times as many rows as columns: rows that are looked up, a bank or a queue
_CUT_FROM = 65_536  # numbers in a leaf: below, an all-gather waits longer than it saves


def make_mesh(devices: Sequence[jax.Device] | None = None, shards: int | None = None) -> Mesh:
  """Returns an Explicit mesh over `devices` (all devices of all processes by default).

  Devices are ordered by process, so that process p's rows of a batch are one contiguous block.
  `shards` divides their number: over so many a state is cut; None: over all.
  """
  devices = jax.devices() if devices is None else devices
  ordered = np.asarray(sorted(devices, key=lambda d: (d.process_index, d.id)))
  if shards in (None, len(ordered)):
    return Mesh(ordered, (_DATA,), axis_types=(AxisType.Explicit,))
  axes = (AxisType.Explicit, AxisType.Explicit)
  return Mesh(ordered.reshape(-1, shards), (_REPLICAS, _SHARDS), axis_types=axes)


def with_shards(mesh: Mesh, tree: PyTree) -> Mesh:
  """Returns the mesh of the same devices on which a state has the fewest bytes a device.

  48 devices divide hardly an axis of a network, 16 most of them.

  Args:
    mesh: of the devices.
    tree: the state, or its shapes.
  """

  def held(shards):
    cuts = [(x, _axis(x.shape, shards) is not None) for x in jax.tree.leaves(tree)]
    return sum(x.size * x.dtype.itemsize / (shards if is_cut else 1) for x, is_cut in cuts)

  divisors = [n for n in range(1, mesh.size + 1) if mesh.size % n == 0]
  best = min(reversed(divisors), key=held)
  return make_mesh(list(mesh.devices.flat), best)


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
  """Builds global arrays, sharded on axis 0, from each process's own contiguous block of rows.

  On a CPU that is one device they are complete: a program that has to wait for its inputs is run by
  a thread of XLA's own, which keeps no memory (cli/heap.py). Of several devices threads run it
  anyway, and two programs whose inputs are there may wait for each other's sums for ever.
  """
  sharding = sharded(mesh)
  batch = jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), host_batch)
  alone = mesh.size == 1 and mesh.devices.flat[0].platform == "cpu"
  return jax.block_until_ready(batch) if alone else batch


def replicate(tree: PyTree, mesh: Mesh) -> PyTree[Array]:
  """Copies `tree`, which every process holds alike, to all devices."""
  return jax.device_put(tree, NamedSharding(mesh, P()))


def replicated(mesh: Mesh) -> NamedSharding:
  """Returns the sharding of an array that every device holds whole."""
  return NamedSharding(mesh, P())


def sharded(mesh: Mesh) -> NamedSharding:
  """Returns the sharding of a batch: axis 0 is divided over the devices."""
  return NamedSharding(mesh, P(_rows(mesh)))


def cut(tree: PyTree, mesh: Mesh) -> PyTree[NamedSharding]:
  """Returns the sharding of each leaf in parts: fully sharded data parallel, ZeRO.

  A leaf of at least 65,536 numbers is cut along its longest axis that the shards divide, a table
  along its columns, so that every device has a part of each row that is looked up; all else is on
  every device (Rajbhandari et al., "ZeRO", SC 2020, cuts every leaf).
  """
  shards = mesh.axis_names[-1]

  def place(leaf):
    axis = _axis(leaf.shape, mesh.shape[shards])
    spec = [None] * leaf.ndim
    if axis is not None:
      spec[axis] = shards
    return NamedSharding(mesh, P(*spec))

  return jax.tree.map(place, tree)


def _axis(shape: tuple[int, ...], shards: int) -> int | None:
  """Returns the axis along which an array is cut; None: it is not."""
  axes = [axis for axis, size in enumerate(shape) if size % shards == 0]
  if shards == 1 or math.prod(shape) < _CUT_FROM or not axes:
    return None
  is_table = len(shape) == 2 and shape[0] >= _TABLE * shape[1]
  return 1 if is_table and 1 in axes else max(axes, key=lambda axis: shape[axis])


def whole(tree: PyTree[Array]) -> PyTree[Array]:
  """All-gathers the leaves that are stored in parts; its transpose is a reduce-scatter."""
  return jax.tree.map(gather, tree)


def in_parts(x: Array) -> bool:
  """Returns whether a device has but a part of `x`."""
  return _mesh_in_use() and any(jax.typeof(x).sharding.spec)


def is_cut_by_columns(x: Array) -> bool:
  """Returns whether `x` [M, D] is a table of which every device has some columns."""
  return in_parts(x) and x.ndim == 2 and jax.typeof(x).sharding.spec[0] is None


def as_stored(tree: PyTree[Array], like: PyTree[Array]) -> PyTree[Array]:
  """Keeps on each device the part of `tree` that it has of `like`."""
  if not _mesh_in_use():
    return tree
  return jax.tree.map(lambda x, y: jax.sharding.reshard(x, jax.typeof(y).sharding.spec), tree, like)


def gather(x: Array) -> Array:
  """All-gathers an array that is sharded; its transpose sums over devices."""
  return jax.sharding.reshard(x, P()) if _mesh_in_use() else x


def scatter(x: Array) -> Array:
  """Shards axis 0 of a replicated array over the data axis (no communication)."""
  return jax.sharding.reshard(x, P(_rows())) if _mesh_in_use() else x


def look_up(table: Array, index: Array) -> Array:
  """Returns the rows `index` of a table, sharded as `index` is.

  Of a table on every device nothing travels. Of one that is cut by columns each device reads its
  part of all rows that are asked for among the shards, and an all-to-all brings them together.
  """
  if not _mesh_in_use():
    return table[index]
  if not is_cut_by_columns(table):
    return table.at[index].get(out_sharding=jax.typeof(index).sharding)
  shards = _shards()

  def local(columns, index):
    found = columns[jax.lax.all_gather(index, shards, tiled=True)]
    return jax.lax.all_to_all(found, shards, 0, found.ndim - 1, tiled=True)

  specs = P(None, shards), P(_rows())
  return jax.shard_map(local, in_specs=specs, out_specs=P(_rows()))(table, index)


def write(table: Array, index: Array, rows: Array) -> Array:
  """Replaces rows of a table, which stays as it is stored.

  Args:
    table: [M, ...], on every device or cut by columns.
    index: [B], on every device; each once. What lies beyond the table is dropped.
    rows: [B, ...], sharded as a batch.
  """

  def put(table, index, rows):
    return table.at[index].set(rows, mode="drop", unique_indices=True)

  if not is_cut_by_columns(table):
    return put(table, index, gather(rows))
  shards = _shards()

  def local(columns, index, rows):
    rows = jax.lax.all_to_all(rows, shards, 1, 0, tiled=True)
    if _REPLICAS in jax.sharding.get_abstract_mesh().axis_names:
      rows = jax.lax.all_gather(rows, _REPLICAS, tiled=True)
    return put(columns, index, rows)

  spec = P(None, shards)
  specs = spec, P(), P(_rows())
  return jax.shard_map(local, in_specs=specs, out_specs=spec, check_vma=False)(table, index, rows)


def as_rows(table: Array) -> Array:
  """Returns a table that is cut by columns as rows sharded as a batch, if the devices divide them;
  else, and of another table, the whole of it on every device.
  """
  if is_cut_by_columns(table) and len(table) % num_devices() == 0:
    return scatter(table)
  return gather(table)


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
  return jax.shard_map(cut, in_specs=P(_rows()), out_specs=P(None, _rows()))(x)


def join_rows(x: Array, strided: bool = False) -> Array:
  """Undoes `split_rows`: [count, B / count, ...] -> [B, ...] in the old order."""

  def join(x):
    return (x.swapaxes(0, 1) if strided else x).reshape(-1, *x.shape[2:])

  if not _mesh_in_use():
    return join(x)
  return jax.shard_map(join, in_specs=P(None, _rows()), out_specs=P(_rows()))(x)


def over_rows(f: Callable[..., Any], rows: PyTree[Array], against: PyTree[Array]) -> Any:
  """Calls `f(rows, against)` with each device's own rows and the whole of `against`.

  The leaves of `rows` are sharded as the batch and stay where they are. A leaf of `against` that is
  sharded is all-gathered, whose transpose is a reduce-scatter; one that is replicated is used as it
  is, and its transpose is an all-reduce. Either way the gradient of a column is the sum of what all
  devices contribute to it. `f` returns arrays whose leading axis is that of the rows.
  """
  if not _mesh_in_use():
    return f(rows, against)

  axes = _rows()

  def whole(x, spec):
    if spec == P(axes):
      return jax.lax.all_gather(x, axes, tiled=True)
    return jax.lax.pcast(x, axes, to="varying")

  specs = jax.tree.map(lambda x: P(axes) if is_sharded(x) else P(), against)

  def local(rows, against):
    return f(rows, jax.tree.map(whole, against, specs))

  return jax.shard_map(local, in_specs=(P(axes), specs), out_specs=P(axes))(rows, against)


def sum_over_rows(f: Callable[..., Array], *rows: Array) -> Array:
  """Calls `f` with each device's own rows and sums what it returns over the devices; replicated."""
  if not any(map(is_sharded, rows)):
    return f(*rows)
  axes = _rows()

  def summed(*rows):
    return jax.lax.psum(f(*rows), axes)

  return jax.shard_map(summed, in_specs=P(axes), out_specs=P())(*rows)


def over_own_rows(f: Callable[..., Any], rows: PyTree[Array], against: PyTree[Array]) -> Any:
  """Calls `f(rows, against)` with each device's own rows of both; `pass_on` works inside `f`."""
  spec = P(_rows())
  return jax.shard_map(f, in_specs=(spec, spec), out_specs=spec)(rows, against)


def pass_on(tree: PyTree[Array], by: int = 1) -> PyTree[Array]:
  """Inside `over_own_rows`: gives `tree` to the device `by` places on in the ring; takes one."""
  count, axes = num_devices(), _rows()
  ring = [(i, (i + by) % count) for i in range(count)]
  return jax.tree.map(lambda x: jax.lax.ppermute(x, axes, ring), tree)


def exchange(x: Array) -> Array:
  """Inside `over_rows`: sends the d-th of D parts of `x` [n, ...] to device d.

  Returns what all sent here: [D, n / D, ...].
  """
  x = jax.lax.all_to_all(x, _rows(), 0, 0, tiled=True)
  return x.reshape(num_devices(), -1, *x.shape[1:])


def num_devices() -> int:
  """Returns over how many devices the batch of the program being traced is spread."""
  return jax.sharding.get_abstract_mesh().size if _mesh_in_use() else 1


def platform() -> str:
  """Returns what the program being traced is for: "cpu", "tpu", "gpu"; without a mesh the default.

  The mesh knows it where the machine that compiles does not: a TPU's program is compiled on a CPU.
  """
  device = jax.sharding.get_abstract_mesh().abstract_device
  return device.platform if device else jax.default_backend()


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
    if not x.is_fully_replicated:
      x = jax.device_put(x, NamedSharding(x.sharding.mesh, P()))
    return x.addressable_data(0)

  whole = jax.tree.map(one, tree)
  jax.tree.map(lambda x: x.copy_to_host_async(), whole)  # all on their way before one is waited for
  return jax.tree.map(np.asarray, whole)


def _mesh_in_use() -> bool:
  return not jax.sharding.get_abstract_mesh().empty


def _rows(mesh: Mesh | None = None) -> str | tuple[str, ...]:
  """Returns the axis, or both, over which the rows of a batch lie, in a mesh or the one in use."""
  names = (mesh or jax.sharding.get_abstract_mesh()).axis_names
  return names[0] if len(names) == 1 else names


def _shards() -> str:
  """Returns the axis over which a state is cut."""
  return jax.sharding.get_abstract_mesh().axis_names[-1]


def is_sharded(x: Array) -> bool:
  """Returns whether the rows of `x` are spread over the devices."""
  spec = tuple(jax.typeof(x).sharding.spec) if _mesh_in_use() else ()
  return bool(spec) and spec[0] == _rows()


def row_ids(num_rows: int) -> Array:
  """Returns int32 `arange(num_rows)`, sharded as a batch when a mesh is in use."""
  return scatter(jnp.arange(num_rows, dtype=jnp.int32))


def constant_rows(like: Array, value: int) -> Array:
  """Returns int32 [len(like)] of `value`, sharded on axis 0 if `like` is."""
  rows = jnp.full(len(like), value, jnp.int32)
  return scatter(rows) if is_sharded(like) else rows
