"""One training step of a config, compiled for this machine, for the benchmarks that time it."""

from collections.abc import Callable

import jax
import numpy as np
from ml_collections import ConfigDict

from contrastive_jax import build, parallel
from contrastive_jax.step import state as state_lib


def random_pixels(size: int, size_px: int, rng: np.random.Generator) -> np.ndarray:
  """Returns images (size, size_px, size_px, 3), uint8."""
  return rng.integers(0, 256, (size, size_px, size_px, 3), dtype=np.uint8)


def host_batch(pixels: np.ndarray, classes: int, rng: np.random.Generator) -> dict:
  """Returns a batch of the form that `pipeline.train_batches` yields, labels at random."""
  size = len(pixels)
  return {
    "image": pixels,
    "extent": np.full((size, 2), pixels.shape[1], np.int32),
    "mask": np.ones(size, bool),
    "label": rng.integers(0, classes, size, dtype=np.int32),
    "index": np.arange(size, dtype=np.int32),
    "replaced": np.zeros(size, np.int32),
  }


def compiled(config: ConfigDict, pixels: np.ndarray | None = None) -> Callable[[], tuple]:
  """Returns a call that takes the first step; on random pixels if there are none."""
  classes, rng = 10, np.random.default_rng(0)
  if pixels is None:
    pixels = random_pixels(config.batch_size, config.image_size_px, rng)
  mesh = parallel.make_mesh()
  run = build.run(config, 100 * len(pixels), classes, mesh.size)
  state = state_lib.create(run.init, seed=config.seed, mesh=mesh, fsdp=config.fsdp)
  batch = parallel.put(host_batch(pixels, classes, rng), mesh)
  with parallel.use(mesh):
    step = jax.jit(run.step).lower(state, batch).compile()
  return lambda: step(state, batch)
