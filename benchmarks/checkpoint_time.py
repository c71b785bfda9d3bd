"""A state of 1 GB saved and restored, beside Orbax alone and safetensors; a Markdown table.

python benchmarks/checkpoint_time.py [--megabytes=1000] [--rounds=5] [--checkout=DIR]

Noise in leaves of many sizes, on one CPU device. "this package" is `Checkpoints.save` with `wait`:
copied, written, read back and compared, committed; and `restore`: read, compared, on the device.
"Orbax alone" writes and reads the same arrays with its defaults and digests nothing. safetensors is
its library, which digests nothing and does not wait for the disk; where it is not installed the
column is missing. All take turns in one process; medians, and the median of each round's ratio to
Orbax. --checkout measures the package of another checkout, in the place of this one.
"""

import importlib.util
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

from absl import app, flags, logging

_MEGABYTES = flags.DEFINE_integer("megabytes", 1000, "Of the state.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "In each, all take their turn.")
_CHECKOUT = flags.DEFINE_string("checkout", None, "Of the package to measure; this one by default.")
_DIR = flags.DEFINE_string("dir", None, "Where to save; a temporary directory by default.")


def noise(megabytes: int):
  """Returns a state: 40 % weights, the rest the optimiser's; 1 in 16 leaves is large."""
  import jax
  import numpy as np

  from contrastive_jax.step.state import TrainState

  rng = np.random.default_rng(0)
  shapes = [(4096, 1024), *[(3, 3, 256, 256)] * 3, *[(1024,)] * 12]
  size = 4 * sum(int(np.prod(shape)) for shape in shapes)

  def tree(share: float):
    count = max(1, round(share * megabytes * 1e6 / size))
    return {
      f"block{i}": {
        f"leaf{j}": jax.device_put(rng.standard_normal(shape, np.float32))
        for j, shape in enumerate(shapes)
      }
      for i in range(count)
    }

  step = jax.numpy.zeros((), jax.numpy.int32)
  made = TrainState(step, tree(0.4), {}, {"mu": tree(0.6)}, {}, {})
  return jax.block_until_ready(made)


def ours(state, folder: pathlib.Path):
  from contrastive_jax.workdir import checkpoint

  def save():
    checkpoints = checkpoint.Checkpoints(str(folder))
    checkpoints.save(1, state)
    checkpoints.wait()
    checkpoints.close()

  def restore():
    import jax

    checkpoints = checkpoint.Checkpoints(str(folder))
    return jax.block_until_ready(checkpoints.restore(state))

  return save, restore


def orbax(state, folder: pathlib.Path):
  import jax
  import orbax.checkpoint as ocp
  from etils import epath

  tree = {"params": state.params, "opt_state": state.opt_state}

  def save():
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
      checkpointer.save(epath.Path(folder) / "1", args=ocp.args.StandardSave(tree))

  def restore():
    asked = jax.tree.map(ocp.utils.to_shape_dtype_struct, tree)
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
      args = ocp.args.StandardRestore(asked)
      return jax.block_until_ready(checkpointer.restore(epath.Path(folder) / "1", args=args))

  return save, restore


def safetensors(state, folder: pathlib.Path):
  import jax
  import numpy as np

  library = importlib.import_module("safetensors.numpy")
  flat, tree = jax.tree.flatten((state.params, state.opt_state))

  def save():
    folder.mkdir()
    host = {str(i): np.asarray(leaf) for i, leaf in enumerate(flat)}
    library.save_file(host, folder / "1")

  def restore():
    read = library.load_file(folder / "1")
    leaves = [jax.device_put(read[str(i)]) for i in range(len(flat))]
    return jax.block_until_ready(jax.tree.unflatten(tree, leaves))

  return save, restore


def seconds(act) -> float:
  start = time.perf_counter()
  act()
  return time.perf_counter() - start


def main(argv: list[str]) -> None:
  del argv
  if _CHECKOUT.value:
    sys.path.insert(0, _CHECKOUT.value)
  logging.set_verbosity(logging.WARNING)
  ways = {"this package": ours, "Orbax alone": orbax}
  if importlib.util.find_spec("safetensors"):
    ways["safetensors"] = safetensors
  state = noise(_MEGABYTES.value)
  took = {(name, act): [] for name in ways for act in ("save", "restore")}
  for _ in range(_ROUNDS.value + 1):
    for name, way in ways.items():
      with tempfile.TemporaryDirectory(dir=_DIR.value) as scratch:
        save, restore = way(state, pathlib.Path(scratch) / "run")
        took[name, "save"].append(seconds(save))
        took[name, "restore"].append(seconds(restore))
        shutil.rmtree(scratch, ignore_errors=True)
        pathlib.Path(scratch).mkdir()
  print("| | save, s | of Orbax alone | restore, s | of Orbax alone |\n|---|--:|--:|--:|--:|")
  for name in ways:
    cells = []
    for act in ("save", "restore"):
      mine, theirs = took[name, act][1:], took["Orbax alone", act][1:]  # the first round warms up
      ratio = statistics.median(a / b for a, b in zip(mine, theirs, strict=True))
      cells.append(f"{statistics.median(mine):.2f} | {ratio:.2f}")
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
  app.run(main)
