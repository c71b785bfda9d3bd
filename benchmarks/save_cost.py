"""What saving costs: seconds that training waits, seconds in the background; a Markdown table.

python benchmarks/save_cost.py [--configs=configs/quickstart.py,...] [--saves=3]

For each config the state of its first step is saved again and again, as the trainer does it.
"waits" is the call of `save`, which copies the state to the host; "background" is the thread that
writes, digests, reads back and compares. "share" is what waiting costs where a save comes once an
epoch, as is the default, and a step takes as long as in --step_s; without it, the step time at
which the share would be 5 %.
"""

import pathlib
import statistics
import tempfile
import time

from absl import app, flags, logging

from contrastive_jax import build, checkpoint, cli, parallel
from contrastive_jax import state as state_lib
from contrastive_jax.plan import images

_CONFIGS = flags.DEFINE_list(
  "configs",
  ["configs/quickstart.py", "configs/simclr_cifar10.py", "configs/simclr_imagenet.py"],
  "Config files.",
)
_SAVES = flags.DEFINE_integer("saves", 3, "Of each state; medians are quoted.")
_STEP_S = flags.DEFINE_float("step_s", None, "Seconds of a step, measured elsewhere.")
_DIR = flags.DEFINE_string("dir", None, "Where to save; a temporary directory by default.")


def measure(path: str) -> str:
  """Returns the row of one config."""
  config = cli.load(path)
  mesh = parallel.make_mesh()
  sizes = images.describe(config)
  run = build.run(config, sizes.count, sizes.classes, mesh.size)
  state = state_lib.create(run.init, seed=config.seed, mesh=mesh, fsdp=config.fsdp)
  waits, background = [], []
  with tempfile.TemporaryDirectory(dir=_DIR.value) as folder:
    saved = checkpoint.Checkpoints(folder)
    for step in range(1, _SAVES.value + 1):
      start = time.perf_counter()
      saved.save(step, state)
      waits.append(time.perf_counter() - start)
      saved.wait()
      background.append(time.perf_counter() - start - waits[-1])
    files = (pathlib.Path(folder) / "checkpoints" / str(step)).rglob("*")
    size = sum(file.stat().st_size for file in files if file.is_file())
    saved.close()
  wait = statistics.median(waits)
  if _STEP_S.value:
    share = f"{100 * wait / (run.steps_per_epoch * _STEP_S.value):.2f} %"
  else:
    share = f"5 % at {1e3 * wait / (0.05 * run.steps_per_epoch):.1f} ms a step"
  return (
    f"| {path} | {size / 1e6:,.1f} | {wait:.3f} | {statistics.median(background):.2f} | "
    f"{run.steps_per_epoch} | {share} |"
  )


def main(argv: list[str]) -> None:
  del argv
  logging.set_verbosity(logging.WARNING)
  print("| config | MB | waits, s | background, s | steps an epoch | share |")
  print("|---|--:|--:|--:|--:|--:|")
  for path in _CONFIGS.value:
    print(measure(path), flush=True)


if __name__ == "__main__":
  app.run(main)
