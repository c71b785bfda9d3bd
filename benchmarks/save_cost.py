"""What saving costs: how long training waits for it, as a share of its time; a Markdown table.

python benchmarks/save_cost.py [--configs=configs/shapes/quickstart.py,...] [--saves=3]

The state of a config, with noise in the optimiser's arrays and in the memory (at the first step
they are zeros, which compress to nothing), is saved again and again, as the trainer does it.
"waits" is the time in which nothing is computed: from the moment when the metrics of the step are
there, all of which are fetched before a save, over the copy of the state to the host, to the
return of the call that starts the next step. "background" is the thread that
writes, digests, reads back and compares; a save that is due before it is done waits for it, which
is counted too. "share" is that of waiting where a save comes as often as the config says, once an
epoch by default, at the step time measured on this machine with random pixels. For configs that are
not in --timed there is, in its place, the step time at which waiting would be 5 %.
"""

import pathlib
import statistics
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np
import one_step
from absl import app, flags, logging
from jaxtyping import PyTree

from contrastive_jax import build, config_files, parallel
from contrastive_jax.plan import images
from contrastive_jax.step import state as state_lib
from contrastive_jax.workdir import checkpoint

_TIMED_BY_DEFAULT = ["configs/shapes/quickstart.py", "configs/cifar10/simclr.py"]
_CONFIGS = flags.DEFINE_list(
  "configs", [*_TIMED_BY_DEFAULT, "configs/imagenet/simclr.py"], "Config files, with :arg."
)
_TIMED = flags.DEFINE_list("timed", _TIMED_BY_DEFAULT, "Those whose step is measured.")
_STEPS = flags.DEFINE_integer("steps", 5, "Measured before each save; the median is quoted.")
_SAVES = flags.DEFINE_integer("saves", 3, "Of each state; medians are quoted.")
_DIR = flags.DEFINE_string("dir", None, "Where to save; a temporary directory by default.")


def noisy(tree: PyTree, rng: np.random.Generator) -> PyTree:
  """Fills floating leaves with small positive noise: a second moment may not be negative."""

  def fill(leaf):
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
      return leaf
    noise = 1e-3 * np.abs(rng.standard_normal(leaf.shape, np.float32))
    return jax.device_put(noise.astype(leaf.dtype), leaf.sharding)

  return jax.tree.map(fill, tree)


def measure(path: str) -> str:
  """Returns the row of one config."""
  config, rng = config_files.load(path), np.random.default_rng(0)
  mesh = parallel.make_mesh()
  sizes = images.describe(config)
  run = build.run(config, sizes.count, sizes.classes, mesh.size)
  state = state_lib.create(run.init, seed=config.seed, mesh=mesh, fsdp=config.fsdp)
  state = state.replace(opt_state=noisy(state.opt_state, rng), memory=noisy(state.memory, rng))
  step_fn = None
  if path in _TIMED.value:
    pixels = one_step.random_pixels(config.batch_size, sizes.size_px, rng)
    batch = one_step.host_batch(pixels, max(sizes.classes, 1), rng)
    jitted = jax.jit(run.step, donate_argnums=0)
    step_fn = lambda state: jitted(state, parallel.put(batch, mesh))  # noqa: E731
  with tempfile.TemporaryDirectory(dir=_DIR.value) as folder, parallel.use(mesh):
    step_s, waits_s, background_s = save_and_step(folder, state, step_fn)
    files = (pathlib.Path(folder) / "checkpoints" / str(_SAVES.value)).rglob("*")
    size = sum(file.stat().st_size for file in files if file.is_file())
  between = max(1, round(config.checkpoint.every_epochs * run.steps_per_epoch))
  if step_s:
    waits_s += max(0.0, background_s - between * step_s)
    cost = f"{1e3 * step_s:.1f} | {100 * waits_s / (between * step_s):.2f} %"
  else:
    cost = f"- | 5 % at {1e3 * waits_s / (0.05 * between):.1f} ms a step"
  return f"| {path} | {size / 1e6:,.1f} | {waits_s:.3f} | {background_s:.2f} | {between} | {cost} |"


def save_and_step(folder: str, state, step_fn) -> tuple[float | None, float, float]:
  """Returns medians: seconds of a step (None without `step_fn`), of waiting, in the background."""
  steps, waits, background, pending = [], [], [], None
  saved = checkpoint.Checkpoints(folder)
  if step_fn:
    state, metrics = step_fn(state)  # compiles
    parallel.fetch(metrics)
  for number in range(1, _SAVES.value + 1):
    for _ in range(_STEPS.value if step_fn else 0):
      start = time.perf_counter()
      state, metrics = step_fn(state)
      if pending:
        parallel.fetch(pending)
        steps.append(time.perf_counter() - start)
      pending = metrics
    parallel.fetch(pending)
    start = time.perf_counter()
    saved.save(number, state)
    if step_fn:
      state, pending = step_fn(state)
    end = time.perf_counter()
    waits.append(end - start)
    saved.wait()
    background.append(time.perf_counter() - end)
  saved.close()
  step = statistics.median(steps) if steps else None
  return step, statistics.median(waits), statistics.median(background)


def main(argv: list[str]) -> None:
  del argv
  logging.set_verbosity(logging.WARNING)
  print("| config | MB | waits, s | background, s | steps between saves | a step, ms | share |")
  print("|---|--:|--:|--:|--:|--:|--:|")
  for path in _CONFIGS.value:
    print(measure(path), flush=True)


if __name__ == "__main__":
  app.run(main)
