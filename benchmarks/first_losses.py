"""Losses of the first steps of every method, to compare two machines: a CPU and a GPU, say.

python benchmarks/first_losses.py --out=cpu.json [METHOD ...]
python benchmarks/first_losses.py --out=gpu.json --against=cpu.json    # on the other machine

Each `configs/cifar10/METHOD.py:cpu` trains for one epoch of four steps of 64 built-in images, with
float32 products in full. Prints a Markdown table of the loss and the relative difference at each
step: what random numbers, data or a kernel do differently shows at the first, and then grows.
"""

import concurrent.futures
import json
import os
import pathlib
import tempfile

import scripts
from absl import app, flags

_OUT = flags.DEFINE_string("out", None, "JSON file to write.", required=True)
_AGAINST = flags.DEFINE_string("against", None, "What another machine wrote.")
_JOBS = flags.DEFINE_integer("jobs", 2, "Runs at a time.")

OVERRIDES = (
  "data.source=shapes",
  "data.split=train",
  "data.shapes.num_train=256",
  "data.shapes.num_test=64",
  "batch_size=64",
  "epochs=1",
  "log.every_steps=1",
  "log.tensorboard=False",
  "monitor.max_train=0",
)


def losses(method: str) -> list[float]:
  """Returns the loss of each step."""
  with tempfile.TemporaryDirectory() as name:
    workdir = pathlib.Path(name)
    scripts.train(workdir, f"cifar10/{method}.py:cpu", *OVERRIDES)
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").open()]
  return [line["loss"] for line in lines if "loss" in line]


def main(argv: list[str]) -> None:
  os.environ["JAX_DEFAULT_MATMUL_PRECISION"] = "highest"
  os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # several share a GPU
  methods = argv[1:] or scripts.cifar10_methods()
  others = json.loads(pathlib.Path(_AGAINST.value).read_text()) if _AGAINST.value else {}
  found = {}
  if others:
    print("| method | loss of step 1 | relative difference at steps 1, 2, 3, 4 |\n|---|--:|---|")
  with concurrent.futures.ThreadPoolExecutor(_JOBS.value) as pool:
    for method, ours in zip(methods, pool.map(losses, methods), strict=True):
      found[method] = ours  # written at once: the time on a lent machine may end
      pathlib.Path(_OUT.value).write_text(json.dumps(found, indent=1))
      if others:
        apart = [abs(a - b) / abs(b) for a, b in zip(ours, others[method], strict=True)]
        print(f"| {method} | {ours[0]:.6f} | {', '.join(f'{x:.0e}' for x in apart)} |", flush=True)


if __name__ == "__main__":
  app.run(main)
