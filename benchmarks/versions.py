"""Saves a run under one Python and goes on with it under another; a Markdown table.

python benchmarks/versions.py --other=OTHER_ENVIRONMENT/bin/python

The run of benchmarks/elastic.py on one device: three epochs, saved after the first. "state": the
leaves restored have the digests of those saved. "batches": indices and bytes of every step from
there are those of a run under this Python alone; "views" by how much theirs differ at most, which
is also whether the random keys are the same; "loss" the largest relative difference of a step's
loss.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))

import elastic
import numpy as np
from absl import app, flags

_OTHER = flags.DEFINE_string("other", None, "Python of another environment.", required=True)
_EPOCHS, _SAVED_AT = 3, elastic.STEPS_AN_EPOCH
_SAY = (
  "import importlib.metadata as m, platform; print(*(f'{n} {v}' for n, v in "
  "[('Python', platform.python_version()), *((p, m.version(p)) for p in "
  "('jax', 'flax', 'optax', 'orbax-checkpoint', 'grain', 'numpy'))]), sep=', ')"
)


def versions(python: str) -> str:
  done = subprocess.run([python, "-c", _SAY], capture_output=True, text=True, check=True)
  return done.stdout.strip()


def main(_) -> None:
  pythons = {"this": sys.executable, "other": _OTHER.value}
  for name, python in pythons.items():
    print(f"{name}: {versions(python)}")
  print(
    "\n| saved under | goes on under | state | batches | views | loss |\n|---|---|---|---|--:|--:|"
  )
  rest = slice(_SAVED_AT, None)
  with tempfile.TemporaryDirectory() as scratch:
    root = pathlib.Path(scratch)
    alone = elastic.run(root / "alone", 1, 1, epochs=_EPOCHS)
    for first, python in pythons.items():
      begun = elastic.run(root / first, 1, 1, leave_after=_SAVED_AT, epochs=_EPOCHS, python=python)
      for second, python in pythons.items():
        shutil.copytree(root / first, root / "on")
        part = elastic.run(root / "on", 1, 1, epochs=_EPOCHS, python=python)
        shutil.rmtree(root / "on")
        state = "equal" if part.restored == begun.saved else "DIFFERENT"
        same = np.array_equal(part.index, alone.index[rest])
        same &= np.array_equal(part.image, alone.image[rest])
        batches = "equal" if same else "DIFFERENT"
        views = np.abs(part.views - alone.views[rest]).max()
        loss = max(abs(part.loss[s] / alone.loss[s] - 1) for s in sorted(alone.loss)[rest])
        print(
          f"| {first} | {second} | {state} | {batches} | {views:.0e} | {loss:.0e} |", flush=True
        )


if __name__ == "__main__":
  app.run(main)
