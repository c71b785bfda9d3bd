"""Saves a run on some processes and devices and goes on with it on others; a Markdown table.

python benchmarks/elastic.py

Every cell is a run of tests/elastic.py (MoCo with a queue, batch norm over all devices), of three
epochs, that was saved on the topology of its row after the first and went on to the end on that of
its column. "state": the leaves restored have the digests of those saved. "batches": indices and
bytes of every step from there are those of a run that one device did alone, its views to 2e-6.
"loss": largest relative difference of a step's loss to that run. The column "first epoch" compares
what came before the save, on the topology of the row.
"""

import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))

import elastic
import numpy as np
from absl import app

_EPOCHS = 3


def seen(part: elastic.Seen, alone: elastic.Seen, steps: slice) -> str:
  """Compares what a run saw in some of the steps with what one device alone saw in them."""
  same = np.array_equal(part.index, alone.index[steps])
  same &= np.array_equal(part.image, alone.image[steps])
  same &= np.allclose(part.views, alone.views[steps], rtol=0, atol=elastic.ROUNDING)
  numbers = sorted(alone.loss)[steps]
  loss = max(abs(part.loss[step] / alone.loss[step] - 1) for step in numbers)
  return f"batches {'equal' if same else 'DIFFERENT'}, loss {loss:.0e}"


def main(_) -> None:
  names = [f"{processes}×{devices}" for processes, devices in elastic.TOPOLOGIES]
  print("| saved on, processes × devices of each | first epoch | " + " | ".join(names) + " |")
  print("|---" * (2 + len(names)) + "|")
  first, rest = slice(elastic.STEPS_AN_EPOCH), slice(elastic.STEPS_AN_EPOCH, None)
  with tempfile.TemporaryDirectory() as scratch:
    root = pathlib.Path(scratch)
    alone = elastic.run(root / "alone", 1, 1, epochs=_EPOCHS)
    for name, topology in zip(names, elastic.TOPOLOGIES, strict=True):
      begun = elastic.run(
        root / name, *topology, leave_after=elastic.STEPS_AN_EPOCH, epochs=_EPOCHS
      )
      cells = [seen(begun, alone, first)]
      for other in elastic.TOPOLOGIES:
        shutil.copytree(root / name, root / "other")
        part = elastic.run(root / "other", *other, epochs=_EPOCHS)
        state = "equal" if part.restored == begun.saved else "DIFFERENT"
        cells.append(f"state {state}, {seen(part, alone, rest)}")
        shutil.rmtree(root / "other")
      print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
  app.run(main)
