"""Kills supervised runs at random moments and compares what they end with; a Markdown table.

python benchmarks/kills.py --kills=50 --methods=simclr,moco,byol

Every run is that of tests/tiny_config.py (a small network, a save every four steps) on one CPU
device, under `python -m contrastive_jax.launch`. SIGKILL comes while it starts, or while it writes
a checkpoint or up to 0.3 s later. The final state must have, leaf by leaf, the SHA-256 of a run
that nobody disturbed.
"""

import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))

import numpy as np
import test_launch
from absl import app, flags

_KILLS = flags.DEFINE_integer("kills", 50, "Of each method's run.")
_METHODS = flags.DEFINE_list("methods", list(test_launch.METHODS), "Runs.")
_PROCESSES = flags.DEFINE_integer("processes", 1, "Of each run; a random one is killed.")
_EPOCHS = flags.DEFINE_integer("epochs", 200, "Of a run: enough to be killed that often.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the moments.")


def main(argv: list[str]) -> None:
  del argv
  print("| | kills: starting | stepping | saving | restarts | steps | leaves | equal |")
  print("|---|--:|--:|--:|--:|--:|--:|---|")
  for method in _METHODS.value:
    rng = np.random.default_rng(_SEED.value)
    with tempfile.TemporaryDirectory() as folder:
      expected, found, moments, log = test_launch.undisturbed_and_killed(
        pathlib.Path(folder), method, _EPOCHS.value, _KILLS.value, rng, _PROCESSES.value
      )
    counts = " | ".join(str(moments.count(m)) for m in ("starting", "stepping", "saving"))
    restarts = log.count("; restart ")
    equal = "yes" if found == expected else "NO"
    print(
      f"| {method} | {counts} | {restarts} | {found[0]} | {len(found[1])} | {equal} |", flush=True
    )


if __name__ == "__main__":
  app.run(main)
