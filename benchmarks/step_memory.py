"""Memory of a training step, plain, recomputed by block and in micro-batches; a Markdown table.

python benchmarks/step_memory.py [--on=v5e:2x2 --devices=4] [--size=cpu] [--jobs=1] [METHOD ...]

Plans (see docs/planning.md) of `configs/cifar10/METHOD.py` with 1024 images and eight batch-norm
groups a device, so that every row is the same step. Without --on it is compiled for a CPU,
--on=here for the GPU that is there. To compile ResNet-18 takes minutes a cell; --size=cpu takes the
small network of the CPU recipes.
"""

import concurrent.futures
import json
import pathlib
import subprocess
import sys
import tempfile

import scripts
from absl import app, flags

_ON = flags.DEFINE_string("on", "cpu:1", "Topology.")
_DEVICES = flags.DEFINE_integer("devices", 1, "Of the topology.")
_SIZE = flags.DEFINE_string("size", "", "Argument of the configs, as cpu.")
_JOBS = flags.DEFINE_integer("jobs", 1, "Plans at a time.")

IMAGES, GROUPS = 1024, 8  # of a device
WAYS = {
  "plain": (),
  "recomputed by block": ("model.remat=True",),
  **{f"{parts} micro-batches": (f"micro_batches={parts}",) for parts in (2, 4, 8)},
  "8, each recomputed": ("micro_batches=8", "model.remat=True"),
}


def memory(method: str, *overrides: str) -> dict[str, float]:
  """Returns the GiB a device by the compiler's count: "total", "temporaries" and others."""
  devices, size = _DEVICES.value, f":{_SIZE.value}" if _SIZE.value else ""
  same = (f"batch_size={IMAGES * devices}", f"model.bn_groups={GROUPS * devices}")
  with tempfile.TemporaryDirectory() as workdir:
    subprocess.run(
      [
        sys.executable,
        scripts.HOME / "train.py",
        f"--config={scripts.HOME / 'configs' / 'cifar10' / method}.py{size}",
        f"--plan={_ON.value}",
        f"--workdir={workdir}",
        *(f"--config.{override}" for override in (*same, *overrides)),
      ],
      check=True,
      stdout=subprocess.DEVNULL,
    )
    (found,) = json.loads((pathlib.Path(workdir) / "plan.json").read_text())["plans"]
  return {name: size / 2**30 for name, size in found["memory"].items() if size is not None}


def main(argv: list[str]) -> None:
  methods = argv[1:] or ["simclr", "moco", "byol"]
  print(f"| temporaries, GiB | {' | '.join(methods)} |\n|---{'|--:' * len(methods)}|", flush=True)
  with concurrent.futures.ThreadPoolExecutor(_JOBS.value) as pool:
    rows = {  # all are begun at once, and told in order
      name: [pool.submit(memory, method, *overrides) for method in methods]
      for name, overrides in WAYS.items()
    }
    for name, cells in rows.items():
      found = [f"{cell.result()['temporaries']:.2f}" for cell in cells]
      print(f"| {name} | {' | '.join(found)} |", flush=True)


if __name__ == "__main__":
  app.run(main)
