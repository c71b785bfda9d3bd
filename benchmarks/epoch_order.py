"""The order of an epoch of many images: time and memory of each of its kinds; a table in Markdown.

python benchmarks/epoch_order.py [--images=1281167,14197122,300000000] [--batch=4096] [--even]

One row a set. An epoch's positions are asked for batch by batch; time is CPU time, of a long epoch
that of its first 5,000 steps scaled up, and memory is the growth of the peak, in a process of its
own for each kind. A worker process or another host takes as much again.
numpy is `Generator.permutation`, which no process can take up in the middle. With --even it prints
instead how often two images are side by side in the set and in an epoch, in shares of chance, by
number of rounds.
"""

import resource
import subprocess
import sys
import time

import numpy as np
from absl import app, flags

from contrastive_jax.data import order, pipeline

_IMAGES = flags.DEFINE_list("images", ["1281167", "14197122", "300000000"], "Sizes of sets.")
_BATCH = flags.DEFINE_integer("batch", 4096, "Images in a batch.")
_EVEN = flags.DEFINE_bool("even", False, "Show how even orders of few images are.")
_ALONE = flags.DEFINE_string("alone", None, "Measure one kind and print it; for the script itself.")
_STEPS = 5000
_MIB = 2**20


def main(argv: list[str]) -> None:
  del argv
  if _EVEN.value:
    _show_even()
  elif _ALONE.value:
    print(*_measured(_ALONE.value, int(_IMAGES.value[0])))
  else:
    kinds = ("sort", "feistel", "numpy")
    print("| images | " + " | ".join(f"{kind}: s an epoch | MiB" for kind in kinds) + " | ratio |")
    print("|--:" * 8 + "|")
    for images in _IMAGES.value:
      found = {kind: _in_a_process(kind, images) for kind in kinds}
      cells = " | ".join(f"{s:.3f} | {mib:,.1f}" for s, mib in found.values())
      ratio = found["feistel"][0] / found["sort"][0]
      print(f"| {int(images):,} | {cells} | {ratio:.3f} |", flush=True)


def _in_a_process(kind: str, images: str) -> tuple[float, float]:
  command = [sys.executable, __file__, f"--images={images}", f"--alone={kind}"]
  done = subprocess.run(
    [*command, f"--batch={_BATCH.value}"], stdout=subprocess.PIPE, check=True, text=True
  )
  seconds, mib = done.stdout.split()
  return float(seconds), float(mib)


def _measured(kind: str, n: int) -> tuple[float, float]:
  """Returns CPU seconds of an epoch and the growth of the peak of memory, MiB."""
  before, began = _peak(), time.process_time()
  if kind == "numpy":
    np.random.default_rng(0).permutation(n)
    return time.process_time() - began, _peak() - before
  asked = {"num_images": n, "batch_size": _BATCH.value, "seed": 0, "name": kind}
  pipeline.positions(0, **asked)
  first = time.process_time() - began
  steps = n // _BATCH.value
  some, began = min(steps, _STEPS), time.process_time()
  for step in range(1, some):
    pipeline.positions(step, **asked)
  return first + (time.process_time() - began) * (steps - 1) / (some - 1), _peak() - before


def _peak() -> float:
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _MIB


def _show_even() -> None:
  print("| images | rounds | side by side, of chance | standard error |\n|--:|--:|--:|--:|")
  for n in (9, 100, 1000, 20_000):
    for rounds in (4, 6, 24):
      epochs = max(200, 2_000_000 // n)
      beside = sum(_beside(n, rounds, epoch) for epoch in range(epochs))
      expected = 2 * epochs * (n - 1) / n
      error = expected**-0.5
      print(f"| {n:,} | {rounds} | {beside / expected:.3f} | {error:.3f} |", flush=True)


def _beside(n: int, rounds: int, epoch: int) -> int:
  sizes, keys = order.split(n), order.round_keys(0, epoch, rounds)
  images = order.feistel(np.arange(n, dtype=np.uint64), sizes, keys)
  while (beyond := images >= n).any():
    images[beyond] = order.feistel(images[beyond], sizes, keys)
  return int((np.abs(np.diff(images.astype(np.int64))) == 1).sum())


if __name__ == "__main__":
  app.run(main)
