"""Host memory and start of loaders, by number of worker processes; rows of a table in Markdown.

python benchmarks/loader_memory.py [--workers=0,2,8] [--batch=256] [--size_px=512] [--images=N]

A process that reads batches slowly, so that its loaders get as far ahead as they may. The images
are made up: a set of N of them takes no memory but what the order and the loaders need. Memory is
that of the process and its workers that no other has (anonymous pages), and the machine's shared
memory, in which workers hand batches over (Linux), less what was there before; "first batch" is the
time until that is there. Sizes in MiB; a batch is named in the first line. PYTHONPATH=CHECKOUT
measures another version of the package.
"""

import pathlib
import time

import numpy as np
from absl import app, flags

from contrastive_jax.data import pipeline

_WORKERS = flags.DEFINE_list("workers", ["0", "2", "8"], "Worker processes, a row each.")
_BATCH = flags.DEFINE_integer("batch", 256, "Images in a batch.")
_SIZE = flags.DEFINE_integer("size_px", 512, "Side of the canvas.")
_IMAGES = flags.DEFINE_integer("images", 1_281_167, "Images in the set.")


class Grey:
  """As many images as one likes, all grey."""

  num_classes, label_names, factors, native_size_px = 0, (), {}, None

  def __init__(self, count: int, size_px: int):
    self._count, self._size_px = count, size_px

  def __len__(self) -> int:
    return self._count

  def __getitem__(self, index: int) -> dict:
    image = np.full((self._size_px, self._size_px, 3), 128, np.uint8)
    return {"image": image, "label": -1, "index": index}


def main(argv: list[str]) -> None:
  del argv
  batch = _BATCH.value * _SIZE.value**2 * 3 / 2**20
  print(f"{_IMAGES.value:,} images, a batch of {batch:,.0f} MiB")
  print("| workers | MiB | in batches | first batch, s |\n|--:|--:|--:|--:|")
  for workers in map(int, _WORKERS.value):
    before, began = _mib(), time.perf_counter()
    batches = pipeline.train_batches(
      Grey(_IMAGES.value, _SIZE.value),
      batch_size=_BATCH.value,
      seed=0,
      host_size_px=_SIZE.value,
      cache="none",
      num_workers=workers,
    )
    iterator = iter(batches)
    held, peak = next(iterator), 0.0
    first = time.perf_counter() - began
    for _ in range(3):
      for _ in range(20):
        time.sleep(0.25)
        peak = max(peak, _mib() - before)
      held = next(iterator)
    del held
    iterator.close()
    print(f"| {workers} | {peak:,.0f} | {peak / batch:.1f} | {first:.1f} |", flush=True)


def _mib() -> float:
  """Returns the memory of this process and of its children, and the machine's shared memory."""
  me = pathlib.Path("/proc/self")
  children = (me / "task" / me.resolve().name / "children").read_text().split()
  shared = pathlib.Path("/proc/meminfo").read_text().splitlines()
  total = sum(int(line.split()[1]) for line in shared if line.startswith("Shmem:"))
  for place in (me, *(pathlib.Path("/proc") / child for child in children)):
    lines = (place / "smaps_rollup").read_text().splitlines()
    total += sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))
  return total / 1024


if __name__ == "__main__":
  app.run(main)
