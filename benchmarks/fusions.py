"""Whether XLA's CPU library computes in a step what XLA's own code does; a table in Markdown.

python benchmarks/fusions.py [--images=97] [--config=cifar10/simclr ...]

XLA hands products, sums and what stands between them to a library as one piece, and some such
pieces were wrong (findings/jax_product_with_constant.sh). One step of each config, by default of
every method's for CIFAR-10, in float32 and with ResNet-8 in place of its ResNet, is compiled with
and without them. "apart" is the largest difference between a leaf of what the two steps return
(state and metrics), as a share of the leaf's largest number, "loss" that of the loss. Rounding
makes the loss differ in its last digits, and a gradient by more where it switches a ReLU or a
triplet. Leaves that are below 1e-4 in both are left out: of a gradient that should be nothing all
is rounding.
"""

import jax
import numpy as np
import one_step
import scripts
from absl import app, flags

from contrastive_jax import build, compiling, config_files, parallel
from contrastive_jax.step import state as state_lib

_IMAGES = flags.DEFINE_integer("images", 97, "Images of a batch.", lower_bound=2)
_CONFIGS = flags.DEFINE_multi_string("config", [], "Configs to take in place of all methods'.")

_APART = {"xla_cpu_experimental_ynn_fusion_type": ""}
_SIDE_PX, _CLASSES = 32, 10
_NOTHING = 1e-4
_LOSS = "[1]['loss']"


def both(name: str) -> tuple[list, list, int]:
  """Returns the leaves of a step with and without fusions, with paths, and how many there are."""
  config = config_files.load(name)
  config.batch_size = _IMAGES.value
  config.model.dtype = "float32"
  if config.model.name.startswith("resnet"):
    config.model.name = "resnet8"
  rng, mesh = np.random.default_rng(0), parallel.make_mesh()
  run = build.run(config, 100 * _IMAGES.value, _CLASSES, mesh.size)
  state = state_lib.create(run.init, seed=config.seed, mesh=mesh, fsdp=config.fsdp)
  pixels = one_step.random_pixels(_IMAGES.value, _SIDE_PX, rng)
  batch = parallel.put(one_step.host_batch(pixels, _CLASSES, rng), mesh)
  with parallel.use(mesh):
    lowered = compiling.often(run.step).lower(state, batch)
    fused, apart = lowered.compile(), lowered.compile(compiler_options=_APART)
    found = [jax.tree_util.tree_leaves_with_path(form(state, batch)) for form in (fused, apart)]
  return *found, fused.as_text().count("__ynn_fusion")


def difference(leaf: jax.Array, other: jax.Array) -> float:
  """Returns the largest difference of two arrays, as a share of the second's largest number."""
  if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
    return 0.0
  leaf, other = (np.asarray(x, np.float64) for x in (leaf, other))
  if not np.array_equal(np.isfinite(leaf), np.isfinite(other)):
    return np.inf
  leaf, other = np.nan_to_num(leaf), np.nan_to_num(other)
  size = np.abs(other).max(initial=0.0)
  if max(size, np.abs(leaf).max(initial=0.0)) < _NOTHING:
    return 0.0
  return float(np.abs(leaf - other).max() / max(size, _NOTHING))


def main(_) -> None:
  names = _CONFIGS.value or [f"cifar10/{name}" for name in scripts.cifar10_methods()]
  print("| config | fusions | loss | apart | of |\n|---|--:|--:|--:|---|")
  for name in names:
    fused, apart, count = both(name)
    shares = {
      jax.tree_util.keystr(path): difference(leaf, other)
      for (path, leaf), (_, other) in zip(fused, apart, strict=True)
    }
    worst = max(shares, key=shares.get)
    cells = [f"{shares[_LOSS]:.0e}", f"{shares[worst]:.0e}", f"`{worst}`"]
    print(f"| {name} | {count} | " + " | ".join(cells) + " |", flush=True)
    jax.clear_caches()


if __name__ == "__main__":
  app.run(main)
