"""Peak memory of an evaluation's features, in shares of their size; one row of a table.

python benchmarks/features_rss.py [--images=400000] [--features=2048]

Images of one pixel through a function that stands for a network, in batches of 1,024 on one CPU
device: collected, checked, cut to those with a label, and their mean and deviation taken, as an
evaluation does before a probe. PYTHONPATH=CHECKOUT measures another version of the package.
"""

import inspect
import resource

import jax.numpy as jnp
import numpy as np
from absl import app, flags

from contrastive_jax import augment, parallel
from contrastive_jax.evaluation import features, linear_probe

_IMAGES = flags.DEFINE_integer("images", 400_000, "How many.")
_FEATURES = flags.DEFINE_integer("features", 2048, "Numbers of each.")
_BATCH = 1024


def stand_in(variables, x):
  """Returns float32 [B, F] of the images' first numbers."""
  del variables
  return {"h": x.reshape(len(x), -1)[:, :1] + jnp.arange(_FEATURES.value, dtype=jnp.float32)}


def batches(count: int):
  for start in range(0, count, _BATCH):
    index = np.arange(start, start + _BATCH, dtype=np.int32)
    yield {
      "image": (index % 251).astype(np.uint8)[:, None, None, None].repeat(3, axis=3),
      "extent": np.ones((_BATCH, 2), np.int32),
      "label": index % 1000,
      "index": index,
      "mask": index < count,
      "replaced": np.zeros(_BATCH, np.int32),
    }


def collected(count: int) -> np.ndarray:
  view = augment.recipe("none", size_px=1)
  known = {"size": count} if "size" in inspect.signature(features.collect).parameters else {}
  found = features.collect(
    stand_in, {}, batches(count), view=view, mesh=parallel.make_mesh(), **known
  )
  x = features.labelled(found, "the stand-ins").layers["h"]
  linear_probe.standardization(x)
  return x


def main(argv: list[str]) -> None:
  del argv
  collected(2 * _BATCH)  # compiles
  before = _peak_bytes()
  x = collected(_IMAGES.value)
  peak = _peak_bytes() - before
  print(f"| {len(x):,} x {x.shape[1]:,} | {x.nbytes / 1e9:.2f} | {peak / 1e9:.2f} ", end="")
  print(f"| {peak / x.nbytes:.2f} |")


def _peak_bytes() -> int:
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
  app.run(main)
