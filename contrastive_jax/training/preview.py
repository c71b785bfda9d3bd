"""views.png: the views that a run trains on, to look at before it has cost anything."""

import io
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from contrastive_jax import augment, compiling, errors, keys, methods, places

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
  batch = [host_batch[k][:_ROWS] for k in ("image", "extent", "index")]

  def shown(image, extent, index):
    images = (0, image, extent, index)
    views = augment.views(recipe, keys.stream(seed, "views"), *images, link=method.link_views)
    if not recipe.local:
      return views
    local = augment.views(recipe.local, keys.stream(seed, "local_views"), *images)
    local = jax.image.resize(local, (*local.shape[:2], *views.shape[2:]), "nearest")
    return jnp.concatenate([views, local], axis=1)

  views = compiling.once(shown)(*batch)
  path = pathlib.Path(workdir) / "views.png"
  drawn = io.BytesIO()
  Image.fromarray(augment.grid(jax.device_get(views), recipe)).save(drawn, "PNG")
  with errors.placing(str(path)):
    places.write(path, drawn.getvalue())  # what a link there leads to is the user's
  return path
