"""Memory of the views of a batch, made at once and in parts, by the compiler's count; a table.

python benchmarks/late_views.py [--batch=256] [--canvas_px=512] [--size_px=224]

SimCLR's two views of each image, from bytes; what follows is the mean of their pixels alone, so
that nothing but the views takes memory. A step in micro-batches makes them in parts
(contrastive_jax/augment/late.py); the network's own memory comes on top.
"""

import jax
import jax.numpy as jnp
from absl import app, flags

from contrastive_jax import augment, parallel

_BATCH = flags.DEFINE_integer("batch", 256, "Images of a device.")
_CANVAS_PX = flags.DEFINE_integer("canvas_px", 512, "Side of what the host sends.")
_SIZE_PX = flags.DEFINE_integer("size_px", 224, "Side of a view.")


def temporaries(parts: int, late: bool) -> int:
  recipe = augment.recipe("simclr", size_px=_SIZE_PX.value, num_views=2)
  make = augment.late_views if late else augment.views

  def mean(image, extent, index):
    views = make(recipe, jax.random.key(0), 0, image, extent, index)
    cut = jax.tree.map(lambda x: parallel.split_rows(x, parts), views)
    return jax.lax.map(lambda part: augment.made(part).mean(), cut)

  count, side = _BATCH.value, _CANVAS_PX.value
  image = jax.ShapeDtypeStruct((count, side, side, 3), jnp.uint8)
  extent = jax.ShapeDtypeStruct((count, 2), jnp.int32)
  index = jax.ShapeDtypeStruct((count,), jnp.int32)
  return jax.jit(mean).lower(image, extent, index).compile().memory_analysis().temp_size_in_bytes


def main(argv: list[str]) -> None:
  del argv
  print(f"| {_BATCH.value} images a device | temporaries, MB | an image |")
  print("|---|--:|--:|")
  for parts, late in ((8, False), (8, True), (16, True), (32, True)):
    found = temporaries(parts, late) / 1e6
    name = f"in {parts} parts" if late else "at once, then cut"
    print(f"| {name} | {found:,.1f} | {found / _BATCH.value:.2f} |", flush=True)


if __name__ == "__main__":
  app.run(main)
