"""What XLA's levels of optimisation cost and gain in a training step on a CPU; a table in Markdown.

taskset -c 0 python benchmarks/compile_level.py [--runs=20] [--compilations=3]

For each network the step is compiled at XLA's default level, at that of a run's step and at that of
programs that run once (`contrastive_jax/compiling.py`), then taken in turn: CPU time of the
process, so that other work counts little, medians. "apart" is the relative difference of the norm
of the gradient from that by default.
"""

import statistics
import time
from collections.abc import Callable

import jax
import numpy as np
import one_step
from absl import app, flags

from contrastive_jax import build, compiling, config_files, parallel
from contrastive_jax.step import state as state_lib

_RUNS = flags.DEFINE_integer("runs", 20, "Steps of each form.", lower_bound=3)
_COMPILATIONS = flags.DEFINE_integer("compilations", 3, "Of each form.", lower_bound=1)
_FORMS: dict[str, Callable] = {
  "default": jax.jit,
  "a step's": compiling.often,
  "once": compiling.once,
}
_SIDE_PX, _CLASSES = 32, 10
_FLOAT32 = {"model.dtype": "float32"}
_CASES = (  # name, config, changes of it, images
  ("ResNet-8 (quickstart)", "shapes/quickstart", _FLOAT32, 256),
  ("ResNet-18", "cifar10/simclr", _FLOAT32, 32),
  ("ResNet-18, bfloat16", "cifar10/simclr", {"model.dtype": "bfloat16"}, 32),
  ("ViT (MoCo v3)", "cifar10/moco_v3:cpu_vit", _FLOAT32, 16),
)


def steps(config_name: str, changes: dict, images: int) -> tuple[dict[str, Callable], dict]:
  """Returns for each form a call that takes the step, and what it took to compile, in seconds."""
  config = config_files.load(config_name)
  config.update_from_flattened_dict(changes | {"batch_size": images})
  rng, mesh = np.random.default_rng(0), parallel.make_mesh()
  run = build.run(config, 100 * images, _CLASSES, mesh.size)
  state = state_lib.create(run.init, seed=config.seed, mesh=mesh, fsdp=config.fsdp)
  pixels = one_step.random_pixels(images, _SIDE_PX, rng)
  batch = parallel.put(one_step.host_batch(pixels, _CLASSES, rng), mesh)
  made, taken = {}, {name: [] for name in _FORMS}
  for number in range(_COMPILATIONS.value):
    for name in list(_FORMS)[:: 1 if number % 2 else -1]:
      jax.clear_caches()  # else it is compiled once
      with parallel.use(mesh):
        lowered = _FORMS[name](run.step).lower(state, batch)
      begun = time.process_time()
      compiled = lowered.compile()
      taken[name].append(time.process_time() - begun)
      made[name] = lambda compiled=compiled: jax.block_until_ready(compiled(state, batch))
  return made, {name: statistics.median(times) for name, times in taken.items()}


def main(_) -> None:
  print("| step | images | level | to compile | ratio | a step | ratio | apart |")
  print("|---|--:|---|--:|--:|--:|--:|--:|")
  for name, config_name, changes, images in _CASES:
    made, compiling_s = steps(config_name, changes, images)
    norms, taken = {}, {form: [] for form in made}
    for run in range(_RUNS.value + 1):
      for form in list(made)[:: 1 if run % 2 else -1]:
        begun = time.process_time()
        _, metrics = made[form]()
        taken[form].append(time.process_time() - begun)
        norms[form] = float(metrics["grad_norm"])
    medians = {form: statistics.median(times[1:]) for form, times in taken.items()}
    for form in _FORMS:
      seconds = medians[form]
      cells = [name, images, form]
      cells += [f"{compiling_s[form]:.1f} s", f"{compiling_s[form] / compiling_s['default']:.2f}"]
      cells += [f"{1e3 * seconds:.0f} ms", f"{seconds / medians['default']:.2f}"]
      cells.append(f"{abs(norms[form] / norms['default'] - 1):.0e}")
      print("|", " | ".join(map(str, cells)), "|", flush=True)


if __name__ == "__main__":
  app.run(main)
