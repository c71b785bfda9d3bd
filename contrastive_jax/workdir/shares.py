"""Which process writes what of a state, so that all is written once and all write about as much.

Every process finds the same, from shapes and shardings alone. What one process alone holds is its
own to write. What several hold alike, such as a replicated leaf, lies in a row, leaf after leaf,
and each takes an equal stretch of the bytes: most leaves stay whole, and one at an end of a stretch
is cut along its longest axis. Neighbouring parts, as those of the devices of a process are, are
written as one: what names them is as large as the number of processes, not of devices.
"""

import collections
import functools
from collections.abc import Mapping

import jax
import numpy as np

from contrastive_jax import parallel
from contrastive_jax.workdir import boxes
from contrastive_jax.workdir.boxes import Box

_Owners = tuple[int, ...]  # processes, ascending


def of_process(leaves: Mapping[str, jax.Array], process: int) -> dict[str, tuple[Box, ...]]:
  """Returns what a process writes of each leaf; a leaf that it writes nothing of is left out."""
  forms = ((k, v.shape, np.dtype(v.dtype).itemsize, v.sharding) for k, v in leaves.items())
  return _of_process(tuple(forms), process)


@functools.lru_cache(maxsize=4)  # the same for every save of a run
def _of_process(
  leaves: tuple[tuple[str, tuple[int, ...], int, jax.sharding.Sharding], ...], process: int
) -> dict[str, tuple[Box, ...]]:
  held: dict[_Owners, list[tuple[str, Box, int]]] = collections.defaultdict(list)
  for name, shape, itemsize, sharding in leaves:
    for box, owners in _holders(shape, sharding).items():
      held[owners].append((name, box, box.size * itemsize))
  mine: dict[str, list[Box]] = collections.defaultdict(list)
  for owners, units in held.items():
    if process not in owners:
      continue
    place, total = owners.index(process), sum(size for *_, size in units)
    begin, end = (total * number // len(owners) for number in (place, place + 1))
    offset = 0
    for name, box, size in units:
      axis = max(range(len(box.shape)), key=lambda i: box.shape[i], default=None)
      count = 1 if axis is None else box.shape[axis]
      first, last = (_place_at(at - offset, size, count) for at in (begin, end))
      if last > first:
        mine[name].append(box if axis is None else boxes.cut(box, axis, first, last))
      offset += size
  return {name: boxes.merged(cut) for name, cut in mine.items()}


def _place_at(byte: int, size: int, count: int) -> int:
  """Returns the place, of `count` equal ones in `size` bytes, that begins nearest to `byte`."""
  return min(count, max(0, (2 * byte * count + size) // (2 * size))) if size else 0


@functools.lru_cache(maxsize=256)  # leaves of a network have few shapes
def _holders(shape: tuple[int, ...], sharding: jax.sharding.Sharding) -> dict[Box, _Owners]:
  """Returns which processes hold which part of a leaf."""
  if sharding.is_fully_replicated:
    processes = {device.process_index for device in sharding.device_set}
    return {boxes.whole(shape): tuple(sorted(processes))}
  found = collections.defaultdict(set)
  for device, index in sharding.devices_indices_map(shape).items():
    found[boxes.of_index(index, shape)].add(device.process_index)
  return {box: tuple(sorted(owners)) for box, owners in found.items()}


def copied(leaf: jax.Array, box: Box) -> np.ndarray:
  """Copies a part of a leaf to the host, from the devices of this process that hold it."""
  for shard in leaf.addressable_shards:
    held = boxes.of_index(shard.index, leaf.shape)
    if boxes.overlap(held, box) == box:
      if held == box:
        return _on_host(shard.data)
      with parallel.use(parallel.make_mesh([shard.device])):
        # Cut on the device: the host never has more than what is asked for.
        return _on_host(shard.data[boxes.inside(box, held)])
  out, filled = np.empty(box.shape, leaf.dtype), 0
  parts = {boxes.of_index(shard.index, leaf.shape): shard.data for shard in leaf.addressable_shards}
  for held, data in parts.items():
    if both := boxes.overlap(held, box):
      out[boxes.inside(both, box)] = np.asarray(data)[boxes.inside(both, held)]
      filled += both.size
  if filled != box.size:
    raise ValueError(f"this process does not hold {box} of a leaf of shape {leaf.shape}")
  return out


def _on_host(data: jax.Array) -> np.ndarray:
  """Returns a copy; of a CPU's array JAX gives a view, and its memory is about to be donated."""
  host = np.asarray(data)
  return host.copy() if data.device.platform == "cpu" else host
