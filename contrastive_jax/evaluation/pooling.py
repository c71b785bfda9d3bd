"""Feature maps as vectors: means over the cells of a grid."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# A feature map is averaged over a grid of cells down to at most so many numbers. For the stages
# of ResNet-50 this gives the grids of side 12, 6, 4, 3 and 2 with which VISSL probes them.
MAX_FEATURES = 9216


def pool(x: Float[Array, "N ..."], max_features: int) -> Float[Array, "N F"]:
  """Averages a map [N, h, w, c] over the finest square grid with at most `max_features` numbers.

  The cells are those of adaptive average pooling: cell i of a side covers floor(i h / s) up to
  ceil((i + 1) h / s). Vectors pass unchanged, and a map is never cut finer than its own pixels.
  """
  x = x.astype(jnp.float32)
  if x.ndim == 4:
    side = max(1, int((max_features // x.shape[-1]) ** 0.5))
    rows, columns = (jnp.asarray(_cells(length, min(side, length))) for length in x.shape[1:3])
    highest = jax.lax.Precision.HIGHEST
    x = jnp.einsum("nhwc,ih,jw->nijc", x, rows, columns, precision=highest)
  return x.reshape(len(x), -1)


def _cells(length: int, side: int) -> Float[np.ndarray, "side length"]:
  """Returns the matrix of means over `side` cells of a line."""
  start = np.arange(side) * length // side
  stop = -(-(np.arange(side) + 1) * length // side)
  inside = (np.arange(length) >= start[:, None]) & (np.arange(length) < stop[:, None])
  return (inside / inside.sum(axis=1, keepdims=True)).astype(np.float32)
