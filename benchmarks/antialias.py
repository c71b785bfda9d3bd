"""What antialiasing changes in views of a photograph, and what it costs; a table in Markdown.

python benchmarks/antialias.py [--runs=21]

Views of 224 px of matplotlib's sample picture of 512 by 600 pixels: as evaluation shows it, and 256
random crops of the recipe `simclr`, the same boxes both ways. Time is the CPU time of all
operations of the recipe on a batch, both ways in turn, medians (see augment_time.py).
"""

import jax
import jax.numpy as jnp
import matplotlib.cbook
import numpy as np
from absl import app, flags
from augment_time import cpu_ratio
from PIL import Image

from contrastive_jax import augment

_VIEW_PX, _BATCH, _BATCHES = 224, 16, 16


def batch() -> tuple[np.ndarray, np.ndarray]:
  """Returns the picture on a canvas, `_BATCH` times, uint8 [B, S, S, 3], and extents [B, 2]."""
  with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
    image = np.asarray(Image.open(file, formats=["JPEG"]).convert("RGB"))
  canvas = np.zeros((_BATCH, *2 * (max(image.shape),), 3), np.uint8)
  canvas[:, : image.shape[0], : image.shape[1]] = image
  return canvas, np.array([image.shape[:2]] * _BATCH, np.int32)


def step(views) -> float:
  """Returns the mean difference of neighbours, across and down."""
  return float(np.mean([np.abs(np.diff(views, axis=axis)).mean() for axis in (-3, -2)]))


def compiled(name: str, antialias: bool, **options):
  """Returns a function of epoch, images, extents and indices: two views of each image."""
  recipe = augment.recipe(name, _VIEW_PX, antialias=antialias, **options)
  return jax.jit(lambda *args: augment.views(recipe, jax.random.key(0), *args))


def main(argv: list[str]) -> None:
  del argv
  image, extent = (jnp.asarray(x) for x in batch())
  whole = [
    np.asarray(augment.test_view(augment.recipe("simclr", _VIEW_PX, antialias=on), image, extent))
    for on in (False, True)
  ]
  index = jnp.arange(_BATCH)
  draws = [compiled("crop_only", on, num_views=1) for on in (False, True)]
  crops = [
    np.stack([draw(epoch, image, extent, index) for epoch in range(_BATCHES)]) for draw in draws
  ]
  print("| views | mean difference | between neighbours, as TensorFlow | antialiased |")
  print("|---|--:|--:|--:|")
  for name, (plain, filtered) in (("evaluation", whole), ("random crops", crops)):
    difference = np.abs(plain - filtered).mean()
    print(f"| {name} | {difference:.4f} | {step(plain):.4f} | {step(filtered):.4f} |")
  plain, filtered = (compiled("simclr", on) for on in (False, True))
  ratio, seconds = cpu_ratio(
    lambda: plain(0, image, extent, index),
    lambda: filtered(0, image, extent, index),
    max(3, flags.FLAGS.runs // 3),
  )
  print(f"CPU time as TensorFlow / antialiased: {ratio:.2f} ({seconds:.2f} s for {_BATCH} images)")


if __name__ == "__main__":
  app.run(main)
