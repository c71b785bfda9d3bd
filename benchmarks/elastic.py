"""Saves a run on some processes and devices and goes on with it on others; a Markdown table.

python benchmarks/elastic.py

Every cell is a run of tests/elastic.py (MoCo with a queue, batch norm over all devices) that was
saved on the topology of its row, after one epoch, and went on to the end on that of its column.
"state": the leaves restored have the digests of those saved. "batches": indices and bytes of every
later step are those of a run that one device did alone, its views to 2e-6. "loss": largest relative
difference of a step's loss to that run.
"""

import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))

import elastic
import numpy as np
from absl import app


def cell(part: elastic.Seen, saved: dict[str, str], alone: elastic.Seen) -> str:
  """Compares what a resumed run saw with what one device alone saw."""
  steps = slice(elastic.STEPS_AN_EPOCH, None)
  same = np.array_equal(part.index, alone.index[steps])
  same &= np.array_equal(part.image, alone.image[steps])
  same &= np.allclose(part.views, alone.views[steps], rtol=0, atol=elastic.ROUNDING)
  loss = max(abs(part.loss[step] / alone.loss[step] - 1) for step in alone.loss)
  state = "equal" if part.restored == saved else "DIFFERENT"
  return f"state {state}, batches {'equal' if same else 'DIFFERENT'}, loss {loss:.0e}"


def main(_) -> None:
  names = [f"{processes}×{devices}" for processes, devices in elastic.TOPOLOGIES]
  print("| saved on, processes × devices of each | " + " | ".join(names) + " |")
  print("|---" * (1 + len(names)) + "|")
  with tempfile.TemporaryDirectory() as scratch:
    root = pathlib.Path(scratch)
    alone = elastic.run(root / "alone", 1, 1)
    for name, topology in zip(names, elastic.TOPOLOGIES, strict=True):
      begun = elastic.run(root / name, *topology, leave_after=elastic.STEPS_AN_EPOCH)
      cells = []
      for other in elastic.TOPOLOGIES:
        shutil.copytree(root / name, root / "other")
        cells.append(cell(elastic.run(root / "other", *other), begun.saved, alone))
        shutil.rmtree(root / "other")
      print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
  app.run(main)
