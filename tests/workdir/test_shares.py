"""Processes write a state once, all of it, and about as much each."""

import math
import types
from typing import NamedTuple

import jax
import numpy as np
import pytest

from contrastive_jax import parallel
from contrastive_jax.workdir import boxes, shares

SHAPES = {
  "scalar": (),
  "empty": (0, 4),
  "bias": (64,),
  "kernel": (3, 3, 64, 128),
  "bank": (5000, 16),
}


class Device(NamedTuple):
  id: int
  process_index: int


class Sharding:
  """Devices of processes, each of which holds what `index` says of its number."""

  def __init__(self, processes, devices, index=None):
    self.device_set = [Device(i, i // devices) for i in range(processes * devices)]
    self.index, self.is_fully_replicated = index, index is None

  def devices_indices_map(self, shape):
    return {d: self.index(d.id, len(self.device_set), shape) for d in self.device_set}


def rows(i, count, shape):
  size = shape[0] // count
  return (slice(i * size, (i + 1) * size), *(slice(None) for _ in shape[1:]))


def half(i, count, shape):
  """Replicas: the first half of the devices holds what the second does."""
  return rows(i % (count // 2), count // 2, shape)


def leaf(shape, sharding):
  return types.SimpleNamespace(shape=shape, dtype=np.dtype(np.float32), sharding=sharding)


@pytest.mark.parametrize("processes, devices", [(1, 1), (1, 4), (2, 2), (4, 1), (3, 1), (40, 8)])
@pytest.mark.parametrize("index", [None, rows, half])
def test_every_number_has_one_writer_and_all_write_about_as_much(processes, devices, index):
  count = processes * devices
  if index is half and count < 2 or index and 4800 % count:
    pytest.skip("does not divide")
  whole, cut = Sharding(processes, devices), Sharding(processes, devices, index)
  leaves = {name: leaf(shape, whole) for name, shape in SHAPES.items()}
  leaves["cut"] = leaf((4800, 32), cut)
  seen = {name: np.zeros(each.shape, int) for name, each in leaves.items()}
  bytes_of = []
  for process in range(processes):
    mine = shares.of_process(leaves, process)
    bytes_of.append(4 * sum(box.size for cut in mine.values() for box in cut))
    for name, cut in mine.items():
      for box in cut:
        seen[name][boxes.inside(box, boxes.whole(leaves[name].shape))] += 1
  assert all(np.all(times == 1) for times in seen.values())
  total = 4 * sum(math.prod(each.shape) for each in leaves.values())
  place = 4 * 3 * 3 * 64  # of the kernel along its longest axis, the widest of all
  assert max(bytes_of) - total / processes <= place + 64 * len(leaves)


def test_blocks_follow_each_other_in_memory():
  box = boxes.Box((2, 0, 5), (1, 7, 12))
  numbers = np.arange(box.size).reshape(box.shape)
  cut = list(boxes.blocks(box, 30))
  assert all(block.size <= 30 for block in cut)
  parts = [numbers[boxes.inside(block, box)].ravel() for block in cut]
  np.testing.assert_array_equal(np.concatenate(parts), np.arange(box.size))
  assert [b.size for b in boxes.blocks(boxes.Box((0,), (10,)), 4)] == [4, 4, 2]
  assert list(boxes.blocks(boxes.whole(()), 4)) == [boxes.whole(())]
  assert list(boxes.blocks(boxes.whole((0, 3)), 4)) == []


def test_parts_of_the_devices_of_a_process_are_written_as_one():
  """Along either axis, and where they make a box only two ways together."""
  whole = boxes.whole((8, 6))
  quarters = [boxes.cut(boxes.cut(whole, 0, i, i + 4), 1, j, j + 3) for i in (0, 4) for j in (0, 3)]
  assert boxes.merged(quarters) == (whole,)
  assert boxes.merged(quarters[1::2]) == (boxes.cut(whole, 1, 3, 6),)
  assert set(boxes.merged(quarters[:3])) == {boxes.cut(whole, 1, 0, 3), quarters[1]}
  assert boxes.merged([quarters[0], quarters[3]]) == (quarters[0], quarters[3])
  assert boxes.merged([boxes.whole(())]) == (boxes.whole(()),)


def test_a_part_that_several_devices_hold_is_copied_whole():
  mesh = parallel.make_mesh(jax.devices()[:4])
  numbers = np.arange(24, dtype=np.float32).reshape(3, 8)
  sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(None, "data"))
  leaf = jax.device_put(numbers, sharding)
  box = boxes.Box((0, 2), (3, 5))
  np.testing.assert_array_equal(shares.copied(leaf, box), numbers[:, 2:7])
