"""Kills supervised runs at random moments and compares what they end with; a Markdown table.

python benchmarks/kills.py --kills=50 --methods=simclr,moco,byol
python benchmarks/kills.py --kills=20 --methods=looc,dino,moco_v3_vit,folder_workers

Every run is that of tests/tiny_config.py (a small network, a save every four steps) on one CPU
device, under `python -m contrastive_jax.launch`. SIGKILL comes while it starts, or while it writes
a checkpoint or up to 0.3 s later. The final state must have, leaf by leaf, the SHA-256 of a run
that nobody disturbed, and no process and no segment of shared memory of the runs may be left.
"""

import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))

import numpy as np
import supervised
from absl import app, flags
from PIL import Image
from supervised import Run

# MoCo v3 with a transformer of two blocks in the place of twelve; a folder of JPEGs, which is
# read by two worker processes.
RUNS = supervised.RUNS | {
  "looc": Run(
    "looc", {"method__queue_size": 64, "augment__recipe": "simclr", "augment__rotate": 1.0}
  ),
  "dino": Run(
    "dino",
    {
      "method__local_views": 2,
      "method__outputs": 64,
      "method__head_width": 32,
      "augment__local_size_px": 8,
    },
  ),
  "moco_v3_vit": Run(
    "moco_v3",
    {
      "backbone": {"name": "vit_tiny", "patch_px": 8, "frozen_patch_projection": True},
      "method__head_layers": 3,
      "method__head_width": 32,
      "method__predictor_width": 32,
      "method__predictor_bn": True,
    },
    "import functools\nfrom contrastive_jax.models import vit\n"
    "vit.vit_tiny = functools.partial(vit.ViT, 32, 2, 2)\n",
  ),
  "folder_workers": Run(
    "simclr", {"data__source": "folder", "data__num_workers": 2, "data__cache": "none"}
  ),
}

_KILLS = flags.DEFINE_integer("kills", 50, "Of each method's run.")
_METHODS = flags.DEFINE_list("methods", list(supervised.RUNS), ", ".join(RUNS))
_PROCESSES = flags.DEFINE_integer("processes", 1, "Of each run; a random one is killed.")
_EPOCHS = flags.DEFINE_integer("epochs", 200, "Of a run: enough to be killed that often.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the moments.")


def main(argv: list[str]) -> None:
  del argv
  print("| | kills: starting | stepping | saving | restarts | steps | leaves | equal | left |")
  print("|---|--:|--:|--:|--:|--:|--:|---|--:|")
  for method in _METHODS.value:
    rng = np.random.default_rng(_SEED.value)
    with tempfile.TemporaryDirectory() as folder:
      run = RUNS[method]
      if "folder" in run.changes.values():
        run = _with_images(run, pathlib.Path(folder, "images"))
      expected, found, moments, log = supervised.undisturbed_and_killed(
        pathlib.Path(folder), run, _EPOCHS.value, _KILLS.value, rng, _PROCESSES.value
      )
    counts = " | ".join(str(moments.count(m)) for m in ("starting", "stepping", "saving"))
    restarts = log.count("; restart ")
    equal = "yes" if found == expected else "NO"
    print(
      f"| {method} | {counts} | {restarts} | {found[0]} | {len(found[1])} | {equal} | 0 |",
      flush=True,
    )


def _with_images(run: Run, folder: pathlib.Path) -> Run:
  """Writes 64 JPEGs of two classes, and lets a run read them."""
  rng = np.random.default_rng(0)
  for i in range(64):
    path = folder / "train" / "ab"[i % 2] / f"{i}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (24, 24, 3)).astype(np.uint8)).save(path)
  return run._replace(changes=run.changes | {"data__folder__path": str(folder)})


if __name__ == "__main__":
  app.run(main)
