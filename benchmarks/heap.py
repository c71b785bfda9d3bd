"""What a step on a CPU costs with memory that malloc gives back, and with memory that it keeps.

python benchmarks/heap.py [--steps=5]

Kept as the command does it (contrastive_jax/cli/heap.py). Each form in processes of its own, in
turn, two of each: CPU time of a step in the program and in the system, its time by the clock, pages
that the system made, medians over the steps after the first; and the largest memory of the process.
A table in Markdown.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time

import as_command  # noqa: F401
import jax
import one_step
from absl import app, flags, logging

from contrastive_jax import config_files

_STEPS = flags.DEFINE_integer("steps", 5, "Of each process that count.", lower_bound=1)
_ROW = flags.DEFINE_string("row", None, "One, in this process alone.")
_FORMS = {"given back": {"MALLOC_ARENA_TEST": "8"}, "kept": {}}  # 8 is glibc's own value
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
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    jax.block_until_ready(take())
    after = resource.getrusage(resource.RUSAGE_SELF)
    clock = time.monotonic() - began
    taken.append([*(getattr(after, k) - getattr(before, k) for k in _FIGURES), clock])
  figures = [statistics.median(values) for values in zip(*taken[1:], strict=True)]
  print(json.dumps([*figures, after.ru_maxrss / 1024]))


_FIGURES = ("ru_utime", "ru_stime", "ru_minflt")


def main(argv: list[str]) -> None:
  logging.set_verbosity(logging.WARNING)
  if _ROW.value:
    step(*_ROWS[_ROW.value])
    return
  print("| step | memory | program | system | clock | pages made | largest memory |")
  print("|---|---|--:|--:|--:|--:|--:|")
  for row in _ROWS:
    found = {form: [] for form in _FORMS}
    for _ in range(2):
      for form, figures in found.items():
        words = [sys.executable, argv[0], f"--row={row}", f"--steps={_STEPS.value}"]
        said = subprocess.check_output(words, text=True, env=os.environ | _FORMS[form])
        figures.append(json.loads(said.splitlines()[-1]))
    for form, figures in found.items():
      user, system, pages, clock, rss = (statistics.median(of) for of in zip(*figures, strict=True))
      cells = f"{row} | {form} | {user:.2f} s | {system:.2f} s | {clock:.2f} s | {pages:,.0f}"
      print(f"| {cells} | {rss:,.0f} MiB |", flush=True)


if __name__ == "__main__":
  app.run(main)
