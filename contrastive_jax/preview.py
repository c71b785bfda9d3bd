"""views.png: the views that a run trains on, to look at before it has cost anything."""

import functools
import pathlib

import jax
import numpy as np
from PIL import Image

from contrastive_jax import augment, keys, methods, once

_ROWS = 16


def save(
  workdir: str,
  method: methods.Method,
  recipe: augment.Recipe,
  host_batch: dict[str, np.ndarray],
  seed: int,
) -> pathlib.Path:
  """Writes a grid of the first epoch's views, a row for each of the first 16 images of a batch."""
  image, extent, index = (host_batch[k][:_ROWS] for k in ("image", "extent", "index"))
  views = functools.partial(augment.views, recipe, keys.stream(seed, "views"), 0)
  views = once.jit(functools.partial(views, link=method.link_views))(image, extent, index)
  path = pathlib.Path(workdir) / "views.png"
  Image.fromarray(augment.grid(jax.device_get(views), recipe)).save(path)
  return path
