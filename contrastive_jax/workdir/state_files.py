"""A state as files: its parts written by their processes, read by whoever needs some of it."""

import collections
import concurrent.futures
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from jaxtyping import PyTree

from contrastive_jax import errors, reading
from contrastive_jax.buckets.mirror import Nowhere
from contrastive_jax.step.state import TrainState
from contrastive_jax.workdir import (
  boxes,
  checkpoint_files,
  digests,
  manifest,
  part_files,
  shares,
)
from contrastive_jax.workdir.boxes import Box

_ITEMS = {"model": ("params", "stats"), "training": ("step", "opt_state", "memory", "probe")}
_TARGET = "memory.target."  # what the leaves of a moving average of the network begin with
_PARTS = "parts"  # the folder of the folders of processes
_AHEAD = 16  # leaves that are read before they are on their devices
_T = TypeVar("_T")


class Part(NamedTuple):
  """What one process has to write of a state, on its host."""

  arrays: dict[tuple[str, Box], np.ndarray]  # by leaf and box
  leaves: dict[str, dict[str, Any]]  # shape and type of all leaves of the state
  model: dict[str, Any]  # see `manifest.compose`


def part_of(state: TrainState) -> Part:
  """Copies to the host what this process is to write of a state (`shares`)."""
  leaves = _leaves(state)
  mine = shares.of_process(leaves, jax.process_index())
  arrays = {(n, box): shares.copied(leaves[n], box) for n, cut in mine.items() for box in cut}
  model = {k: _named(getattr(state, k), k) for k in _ITEMS["model"]}
  return Part(arrays, {name: manifest.form(leaf) for name, leaf in leaves.items()}, model)


def write_part(directory: pathlib.Path, part: Part) -> dict[str, part_files.Table]:
  """Writes the part of this process into a folder of its own, reads it back and compares.

  Returns:
    What the manifest is to say of its files: {path within `directory`: table}.

  Raises:
    Damaged: what came back is not what was written.
  """
  own = folder_of_part(directory, jax.process_index())
  own.mkdir(parents=True, exist_ok=True)
  tables = {}
  for item, names in _ITEMS.items():
    of_item = {key: a for key, a in part.arrays.items() if key[0].split(".")[0] in names}
    if of_item:
      path = own / f"{item}.safetensors"
      name = path.relative_to(directory).as_posix()
      tables[name] = part_files.write(path, of_item, part.leaves)
  for folder in (own, own.parent, directory):
    checkpoint_files.sync(folder)
  for name, table in tables.items():
    reading.patiently("what was written", lambda n=name, t=table: _check(directory, {n: t}, part))
  return tables


def folder_of_part(directory: pathlib.Path, process: int) -> pathlib.Path:
  """Returns where a process writes its part of the checkpoint `directory`."""
  return directory / _PARTS / str(process)


def _check(directory: pathlib.Path, tables: dict[str, part_files.Table], part: Part) -> None:
  for name, table in tables.items():
    part_files.check(directory, name, table, part.leaves)


def complete(
  directory: pathlib.Path,
  part: Part,
  tables: dict[str, part_files.Table],
  step: int,
  knn: float | None,
  *,
  shared: bool = True,
) -> None:
  """Writes the manifest of a checkpoint whose parts are all there; `shared`: and are seen here.

  Raises:
    OSError: this process does not see what another has written.
    ValueError: the parts are not the whole state.
  """
  tables = {name: part_files.parsed(table, part.leaves) for name, table in tables.items()}
  for name, table in tables.items() if shared else ():
    path = directory / name
    if not path.is_file() or path.stat().st_size != table["bytes"]:
      raise OSError(
        f"{name} is not there as its process wrote it; see that all hosts have the same disk there"
      )
  manifest.write(directory, manifest.compose(step, knn, part.model, part.leaves, tables))
  checkpoint_files.sync(directory)
  reading.patiently("what was written", lambda: manifest.read(directory))


def read_state(
  directory: pathlib.Path, step: int, like: TrainState, mirror: Nowhere | None = None
) -> TrainState:
  """Reads and verifies what the devices of this process hold of a state.

  Args:
    directory: of the checkpoint, whose manifest is there.
    step: of it.
    like: a state of its form.
    mirror: the bucket that has what is not there.

  Returns:
    The state with the shardings of `like`.

  Raises:
    Damaged: it is not what was saved.
    UserError: it is, but `like` is another tree.
  """
  listed = manifest.of_step(directory, step)
  leaves = _leaves(like)
  saved = {
    name: {k: leaf[k] for k in ("shape", "dtype")} for name, leaf in listed["leaves"].items()
  }
  asked = {name: manifest.form(leaf) for name, leaf in leaves.items()}
  for name in [*asked, *saved]:
    if saved.get(name) != asked.get(name):
      raise errors.UserError(
        f"checkpoint {step} has {name} {_words(saved.get(name))}, this config makes it "
        f"{_words(asked.get(name))}; use the run's own config or a new --workdir"
      )
  mirror = mirror or Nowhere()
  if not manifest.is_in_parts(listed):
    if problem := mirror.fetch(step):
      raise manifest.Damaged(problem)
    return _read_earlier(directory, listed, like)
  held = {
    name: {
      boxes.of_index(index, leaf.shape)
      for index in leaf.sharding.addressable_devices_indices_map(leaf.shape).values()
    }
    for name, leaf in leaves.items()
  }
  with reader(directory, listed) as files, _threads() as threads:
    if mirror.apart:
      mirror.fetch_blocks(step, files.needed(held), digests.of)

    def read(name: str) -> dict[Box, np.ndarray]:
      return {box: files.read(name, box) for box in held[name]}

    parts = _in_order(threads, read, leaves)
    placed = [_placed(part, leaf) for part, leaf in zip(parts, leaves.values(), strict=True)]
  return jax.tree.unflatten(jax.tree.structure(like), placed)


def _placed(parts: dict[Box, np.ndarray], like: jax.Array) -> jax.Array:
  return jax.make_array_from_callback(
    like.shape, like.sharding, lambda index: parts[boxes.of_index(index, like.shape)]
  )


def read_model(directory: pathlib.Path, step: int, network: str = "online") -> PyTree:
  """Reads and verifies weights and statistics as numpy, of whatever network.

  Args:
    directory: of the checkpoint.
    step: that it is of.
    network: "online": the one that is trained; "target": the method's moving average of it, which
      lacks the heads that a method does not average. The statistics are the online network's: a
      target keeps none of its own.

  Raises:
    Damaged: the checkpoint is.
    UserError: the method has no target.
  """
  listed = manifest.of_step(directory, step)
  if network == "target" and not any(name.startswith(_TARGET) for name in listed["leaves"]):
    raise errors.UserError(
      f'network "target": the checkpoint in {directory} has none, for its method keeps no moving '
      'average of its network; use "online"'
    )
  if not manifest.is_in_parts(listed):
    return _read_earlier_model(directory, listed, network)
  model = listed["model"]
  if network == "target":
    model = model | {"params": _averaged(model["params"], listed["leaves"])}
  names, tree = jax.tree.flatten(model)
  with reader(directory, listed) as files, _threads() as threads:
    return jax.tree.unflatten(tree, _in_order(threads, files.read, names))


def _averaged(names: PyTree, leaves: Mapping[str, Any]) -> PyTree:
  """Returns the names of the target's leaves for those of the network, as far as there are any."""
  found = {}
  for key, below in names.items():
    if isinstance(below, dict):
      below = _averaged(below, leaves)
    else:
      below = _TARGET + below.removeprefix("params.")
      below = below if below in leaves else None
    if below:
      found[key] = below
  return found


def reader(directory: pathlib.Path, listed: manifest.Manifest) -> part_files.Reader:
  """Returns what reads leaves, or boxes of them, of the checkpoint that `listed` describes."""
  forms = listed["leaves"]
  tables = {name: part_files.parsed(table, forms) for name, table in listed["files"].items()}
  return part_files.Reader(directory, tables, forms)


def _threads() -> concurrent.futures.ThreadPoolExecutor:
  """Threads that read leaves: new memory is what takes time, more than the digests."""
  return concurrent.futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1), "reading")


def _in_order(
  threads: concurrent.futures.Executor, read: Callable[[str], _T], names: Iterable[str]
) -> Iterator[_T]:
  """Yields what is read of each leaf, a few of them ahead: the host need not hold all at once."""
  ahead = collections.deque()
  for name in names:
    ahead.append(threads.submit(read, name))
    if len(ahead) > _AHEAD:
      yield ahead.popleft().result()
  while ahead:
    yield ahead.popleft().result()


def _read_earlier(
  directory: pathlib.Path, listed: manifest.Manifest, like: TrainState
) -> TrainState:
  from contrastive_jax.workdir import earlier

  earlier.verify_files(listed, directory, _ITEMS)
  trees = {
    item: earlier.read(directory / item, {k: getattr(like, k) for k in names})
    for item, names in _ITEMS.items()
  }
  earlier.verify_leaves(listed, {k: v for tree in trees.values() for k, v in _leaves(tree).items()})
  read = TrainState(**trees["model"], **trees["training"])
  return jax.tree.map(
    lambda host, leaf: jax.make_array_from_callback(
      host.shape, leaf.sharding, lambda index: np.asarray(host[index])
    ),
    read,
    like,
  )


def _read_earlier_model(directory: pathlib.Path, listed: manifest.Manifest, network: str) -> PyTree:
  from contrastive_jax.workdir import earlier

  items = ("model", "training") if network == "target" else ("model",)
  earlier.verify_files(listed, directory, items)
  tree = {}
  for item in items:
    part = earlier.read(directory / item)
    earlier.verify_leaves(listed, _leaves(part))
    names = {name for name in listed["leaves"] if name.split(".")[0] in _ITEMS[item]}
    missing = names - _leaves(part).keys()
    if missing:
      raise manifest.Damaged(f"leaf {min(missing)} is missing")
    tree |= part
  if network == "target":
    tree = {"params": tree["memory"]["target"], "stats": tree["stats"]}
  return tree


def _named(tree: PyTree, item: str) -> PyTree:
  """Returns the tree with the names of its leaves, as `_leaves` gives them, in their place."""
  return jax.tree_util.tree_map_with_path(lambda path, _: f"{item}.{_name(path)}", tree)


def _leaves(tree: PyTree) -> dict[str, Any]:
  """Returns {dotted name: leaf}; of a state and of its items alike.

  Raises:
    UserError: two leaves have one name, as those of {"a": {"b": x}, "a.b": y}: one would be lost
      (findings/orbax_dotted_keys.sh).
  """
  flat, _ = jax.tree_util.tree_flatten_with_path(tree)
  found = {_name(path): leaf for path, leaf in flat}
  if len(found) < len(flat):
    twice, _ = collections.Counter(_name(path) for path, _ in flat).most_common(1)[0]
    raise errors.UserError(f"two arrays of the state are named {twice}; use keys without dots")
  return found


def _name(path: jax.tree_util.KeyPath) -> str:
  parts = (getattr(k, "key", getattr(k, "name", getattr(k, "idx", None))) for k in path)
  return ".".join(str(part) for part in parts)


def _words(form: dict[str, Any] | None) -> str:
  return f"{form['dtype']}{form['shape']}" if form else "nowhere"
