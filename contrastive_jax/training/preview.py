"""views.png: the views that a run trains on, to look at before it has cost anything."""

import io
import pathlib

import jax
import numpy as np
from PIL import Image

from contrastive_jax import augment, compiling, errors, keys, methods, places
from contrastive_jax.step import first_views

_ROWS = 16


def save(
  workdir: str,
  method: methods.Method,
  recipe: augment.Recipe,
  host_batch: dict[str, np.ndarray],
  seed: int,
) -> pathlib.Path:
  """Writes a grid of the first epoch's views, a row for each of the first 16 images of a batch.

  Local views stand to the right of the others, their pixels enlarged to the same size.
  """
  batch = {k: host_batch[k][:_ROWS] for k in ("image", "extent", "index")}
  _, views = first_views.of(recipe, method.link_views, seed, batch)
  if recipe.local:
    views = np.concatenate([views, _local(recipe, seed, batch, views.shape[2])], axis=1)
  path = pathlib.Path(workdir) / "views.png"
  drawn = io.BytesIO()
  Image.fromarray(augment.grid(views, recipe)).save(drawn, "PNG")
  with errors.placing(str(path)):
    places.write(path, drawn.getvalue())  # what a link there leads to is the user's
  return path


def _local(
  recipe: augment.Recipe, seed: int, batch: dict[str, np.ndarray], size_px: int
) -> np.ndarray:
  """Returns the local views [B, V, size_px, size_px, C]."""

  def shown(image, extent, index):
    views = augment.views(recipe.local, keys.stream(seed, "local_views"), 0, image, extent, index)
    return jax.image.resize(views, (*views.shape[:2], size_px, size_px, views.shape[-1]), "nearest")

  return jax.device_get(compiling.once(shown)(*batch.values()))
