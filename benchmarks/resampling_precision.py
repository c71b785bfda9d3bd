"""What views lose where a resampling rounds its operands as tensor cores do; a table.

python benchmarks/resampling_precision.py [--canvas_px=512] [--size_px=224] [--boxes=64] [--seed=0]

The products of contrastive_jax/augment/resize.py and of the blur in filters.py, on a CPU, with
their operands rounded in software: to bfloat16 (a TPU's default), to the sum of two bfloat16 with
three products (Precision.HIGH on a TPU), and to the ten bits of TF32 (Precision.HIGH on a GPU).
Images are noise of 8 bits, in which neighbours differ most, and a chequered one, whose edges are
sharp. The error is the largest and the root mean square over all pixels, in levels of 8 bits.
"""

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from contrastive_jax.augment import filters, resize

_CANVAS_PX = flags.DEFINE_integer("canvas_px", 512, "Side of the image.")
_SIZE_PX = flags.DEFINE_integer("size_px", 224, "Side of the view.")
_BOXES = flags.DEFINE_integer("boxes", 64, "Random crops, of 8 % of the area and more.")
_SEED = flags.DEFINE_integer("seed", 0, "Of images and boxes.")


def kept_bits(x, bits):
  """Rounds float32 to so many bits behind the leading one, to nearest, ties to even."""
  drop = 23 - bits
  word = jax.lax.bitcast_convert_type(x, jnp.uint32)
  word += (1 << (drop - 1)) - 1 + ((word >> drop) & 1)
  return jax.lax.bitcast_convert_type((word >> drop) << drop, jnp.float32)


def product(form):
  """Returns an einsum that rounds its operands."""

  def exact(subscripts, a, b):
    return _EINSUM(subscripts, a, b, precision="highest")

  def rounded(subscripts, a, b, precision=None):
    del precision
    if form == "TF32":
      return exact(subscripts, kept_bits(a, 10), kept_bits(b, 10))
    high_a, high_b = kept_bits(a, 7), kept_bits(b, 7)
    found = exact(subscripts, high_a, high_b)
    if form == "three bfloat16":
      low_a, low_b = kept_bits(a - high_a, 7), kept_bits(b - high_b, 7)
      found += exact(subscripts, high_a, low_b) + exact(subscripts, low_a, high_b)
    return found

  return rounded


_EINSUM = jnp.einsum


def boxes(rng):
  side = np.sqrt(rng.uniform(0.08, 1.0, _BOXES.value)) * _CANVAS_PX.value
  ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3), _BOXES.value) / 2)
  extent = np.stack([side / ratio, side * ratio], 1).round().clip(1, _CANVAS_PX.value)
  corner = np.floor(rng.uniform(size=extent.shape) * (_CANVAS_PX.value - extent + 1))
  return np.concatenate([corner, extent], 1).astype(np.float32)


def images(rng):
  side = _CANVAS_PX.value
  noise = rng.integers(0, 256, (side, side, 3))
  rows, columns = np.mgrid[:side, :side] // 16
  edges = np.where(((rows + columns) % 2)[..., None], 255, [0, 37, 118])
  return {"noise": noise / 255, "edges": edges / 255}


def views(image, corners, interpolation):
  def crop(corner):
    return resize.resize(image, resize.Box(*corner), _SIZE_PX.value, interpolation)

  return jax.lax.map(crop, jnp.asarray(corners))


def main(argv: list[str]) -> None:
  del argv
  rng = np.random.default_rng(_SEED.value)
  corners = boxes(rng)
  operations = {
    "bilinear": lambda image: views(image, corners, "bilinear"),
    "bicubic": lambda image: views(image, corners, "bicubic"),
    "blur": lambda image: blurred(image[: _SIZE_PX.value, : _SIZE_PX.value]),
  }
  print("| operation | image | form | largest error, levels | RMS |\n|---|---|---|--:|--:|")
  for name, operation in operations.items():
    for kind, image in images(rng).items():
      image = jnp.asarray(image, jnp.float32)
      wanted = jax.jit(operation)(image)
      for form in ("bfloat16", "three bfloat16", "TF32"):
        jnp.einsum = product(form)
        found = jax.jit(lambda x, operation=operation: operation(x))(image)
        jnp.einsum = _EINSUM
        error = 255 * np.abs(np.asarray(found - wanted))
        print(
          f"| {name} | {kind} | {form} | {error.max():.3f} | {np.sqrt((error**2).mean()):.3f} |"
        )


def blurred(image):
  sigmas = jnp.linspace(0.1, 2.0, 8)
  blur = filters.Blur()
  return jax.lax.map(lambda s: blur.apply({"on": True, "sigma_px": s}, image), sigmas)


if __name__ == "__main__":
  app.run(main)
