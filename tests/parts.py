"""States in parts that processes save and restore, and what each of them needed for it.

`run` starts the processes; `python tests/parts.py SETTINGS` is one of them.
"""

import json
import os
import pathlib
import sys

import conftest
import jax
import members
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from contrastive_jax import errors
from contrastive_jax.processes import hosts
from contrastive_jax.step.state import TrainState
from contrastive_jax.workdir import checkpoint, part_files

TOPOLOGIES = ((1, 1), (1, 4), (2, 2), (4, 1))  # processes, devices of each


def run(workdir: pathlib.Path, processes: int, devices: int, **settings) -> list[dict]:
  """Does what `main` does, on so many processes; returns what each tells."""
  port = members.free_port()
  started = []
  for process in range(processes):
    place = [f"127.0.0.1:{port}", processes, process] if processes > 1 else None
    told = workdir / f"told.{process}.json"
    told.unlink(missing_ok=True)
    more = {"workdir": str(workdir), "place": place, "devices": devices, "told": str(told)}
    started.append(members.start(sys.executable, __file__, json.dumps(settings | more)))
  codes, said = members.ends(started)
  assert codes == [0] * processes, "\n".join(said)
  told = [json.loads((workdir / f"told.{p}.json").read_text()) for p in range(processes)]
  return [each | {"said": text} for each, text in zip(told, said, strict=True)]


def numbers(seed: int, name: str, shape: tuple[int, ...], index: tuple, dtype) -> np.ndarray:
  """Returns a part of a leaf whose every number follows from seed, name and place."""
  places = np.zeros((), np.uint32)
  for axis, (part, size) in enumerate(zip(index, shape, strict=True)):
    along = np.arange(size, dtype=np.uint32)[part]
    along = along.reshape(-1, *(1,) * (len(shape) - axis - 1))
    places = places * np.uint32(size) + along
  if name == ".step":
    return np.asarray(seed, dtype)
  places += np.uint32(sum(name.encode()) + 7919 * seed)
  places *= np.uint32(2654435761)
  bits = places >> np.uint32(9) | np.uint32(0x3F800000)  # a float32 in [1, 2)
  return bits.view(np.float32).astype(dtype)


def forms(rows: int, in_parts: bool, devices: int | None = None) -> TrainState:
  """Returns shapes, types and shardings: cut along one axis or the other, or whole everywhere.

  Args:
    rows: of the large leaves, which have 1,024 numbers in each.
    in_parts: whether they are cut over the devices.
    devices: of the mesh; None: all.
  """
  mesh = jax.sharding.Mesh(np.asarray(jax.devices()[:devices]), ("data",))

  def leaf(shape, spec=(), dtype=np.float32):
    sharding = NamedSharding(mesh, P(*spec) if in_parts else P())
    return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)

  large = {
    "kernel": leaf((rows, 1024), ("data",)),
    "turned": leaf((3, rows // 4, 1024), (None, None, "data")),
  }
  small = {"scale": leaf((7,), dtype=jax.numpy.bfloat16), "empty": leaf((0, 3))}
  return TrainState(
    step=leaf((), dtype=np.int32),
    params=large | small,
    stats={},
    opt_state=(large | small, leaf((1, 5, 3))),
    memory={"bank": leaf((rows, 1024), ("data",))},
    probe={},
  )


def filled(like: TrainState, step: int) -> TrainState:
  """Returns the state of a step, of the form of `like`."""

  def make(path, leaf):
    name = jax.tree_util.keystr(path)
    return jax.make_array_from_callback(
      leaf.shape, leaf.sharding, lambda index: numbers(step, name, leaf.shape, index, leaf.dtype)
    )

  return jax.block_until_ready(jax.tree_util.tree_map_with_path(make, like))


def differences(state: TrainState) -> list[str]:
  """Returns the leaves of which a device of this process holds other bits than `filled` makes."""
  step = int(state.step)

  def differs(path, leaf):
    name = jax.tree_util.keystr(path)
    return any(
      np.asarray(shard.data).tobytes()
      != numbers(step, name, leaf.shape, shard.index, leaf.dtype).tobytes()
      for shard in leaf.addressable_shards
    )

  flat, _ = jax.tree_util.tree_flatten_with_path(state)
  return [jax.tree_util.keystr(path) for path, leaf in flat if differs(path, leaf)]


def _memory(key: str) -> int:
  """Returns VmRSS or VmHWM of this process in bytes."""
  lines = pathlib.Path("/proc/self/status").read_text().splitlines()
  return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key + ":"))


def _needed(act) -> tuple[object, int]:
  """Returns what `act` does, and by how many bytes this process has grown meanwhile at the most."""
  pathlib.Path("/proc/self/clear_refs").write_text("5")  # the most so far is the present
  before = _memory("VmRSS")
  done = act()
  return done, _memory("VmHWM") - before


def _on_devices(state: TrainState) -> int:
  leaves = jax.tree.leaves(state)
  return sum(shard.data.nbytes for leaf in leaves for shard in leaf.addressable_shards)


def main(settings: dict) -> None:
  """Saves the states of the steps `save`, if there are any, or else restores what is there.

  Other settings: `rows`, `in_parts`, `block_bytes`, `before` (code to run first).
  """
  count = f"--xla_force_host_platform_device_count={settings['devices']}"
  os.environ["XLA_FLAGS"] = f"{conftest.ONE_DEVICE_FLAGS} {count}"
  if settings["place"]:
    hosts.connect(*settings["place"])
  part_files.BLOCK_BYTES = settings.get("block_bytes", part_files.BLOCK_BYTES)
  exec(settings.get("before", ""), {})
  like = forms(settings["rows"], settings["in_parts"])
  checkpoints = checkpoint.Checkpoints(settings["workdir"])
  told = {}

  def save(state):
    checkpoints.save(int(state.step), state)
    checkpoints.wait()

  try:
    for step in settings.get("save", ()):
      state = filled(like, step)
      _, told["host_bytes"] = _needed(lambda state=state: save(state))
      told["device_bytes"] = _on_devices(state)
    if "save" not in settings:
      state, needed = _needed(lambda: jax.block_until_ready(checkpoints.restore(like)))
      told["device_bytes"] = _on_devices(state)
      told["host_bytes"] = needed
      told["differences"], told["step"] = differences(state), int(state.step)
  except errors.SaveFailed as error:
    told["failed"] = str(error)
  finally:
    checkpoints.close()
    pathlib.Path(settings["told"]).write_text(json.dumps(told))


if __name__ == "__main__":
  main(json.loads(sys.argv[1]))
