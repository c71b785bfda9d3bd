"""What a step on a CPU costs with memory that malloc gives back, and with memory that it keeps.

taskset -c 0 python benchmarks/heap.py [--steps=5]

Each form in processes of its own, in turn, two of each: CPU time of a step in the program and in
the system, pages that the system made, medians over the steps after the first; and the largest
memory of the process. A table in Markdown.
"""

import json
import resource
import statistics
import subprocess
import sys

import jax
import one_step
from absl import app, flags, logging

from contrastive_jax import config_files
from contrastive_jax.cli import heap

_STEPS = flags.DEFINE_integer("steps", 5, "Of each process that count.", lower_bound=1)
_ROW = flags.DEFINE_string("row", None, "One, in this process alone.")
_KEEP = flags.DEFINE_boolean("keep", False, "As the command does, in this process.")
_ROWS = {
  "quickstart": ("configs/shapes/quickstart.py", {}),
  "ResNet-18, 128 images of 32 px": (
    "configs/cifar10/simclr.py",
    {"batch_size": 128, "model.dtype": "float32"},
  ),
}


def step(name: str, changes: dict) -> None:
  config = config_files.load(name)
  config.update_from_flattened_dict(changes)
  take = one_step.compiled(config)
  taken = []
  for _ in range(_STEPS.value + 1):
    before = resource.getrusage(resource.RUSAGE_SELF)
    jax.block_until_ready(take())
    after = resource.getrusage(resource.RUSAGE_SELF)
    taken.append([getattr(after, k) - getattr(before, k) for k in _FIGURES])
  figures = [statistics.median(values) for values in zip(*taken[1:], strict=True)]
  print(json.dumps([*figures, after.ru_maxrss / 1024]))


_FIGURES = ("ru_utime", "ru_stime", "ru_minflt")


def main(argv: list[str]) -> None:
  logging.set_verbosity(logging.WARNING)
  if _ROW.value:
    if _KEEP.value:
      heap.keep()
    step(*_ROWS[_ROW.value])
    return
  print("| step | memory | program | system | pages made | largest memory |")
  print("|---|---|--:|--:|--:|--:|")
  for row in _ROWS:
    found = {False: [], True: []}
    for _ in range(2):
      for keep, figures in found.items():
        words = [f"--row={row}", f"--keep={keep}", f"--steps={_STEPS.value}"]
        said = subprocess.check_output([sys.executable, argv[0], *words], text=True)
        figures.append(json.loads(said.splitlines()[-1]))
    for keep, figures in found.items():
      user, system, pages, rss = (statistics.median(of) for of in zip(*figures, strict=True))
      name = "kept" if keep else "given back"
      cells = f"{row} | {name} | {user:.2f} s | {system:.2f} s | {pages:,.0f} | {rss:,.0f} MiB"
      print(f"| {cells} |", flush=True)


if __name__ == "__main__":
  app.run(main)
