"""Views of the first epoch, to be looked at: before a run, and on the page at its end."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from contrastive_jax import augment, compiling, keys

_AT_ONCE = 16  # images: who asks for more, or fewer, has the same program, compiled once


def of(
  recipe: augment.Recipe, link: augment.Link, seed: int, batch: dict[str, np.ndarray]
) -> tuple[tuple[Any, ...], Float[np.ndarray, "B V H H C"]]:
  """Returns what was drawn for each view, leaves [B, ...] by operation, and the normalised views.

  Args:
    recipe: of the views.
    link: of the method, see `augment.late_views`.
    seed: of the run.
    batch: "image" [B, S, S, C], "extent" [B, 2] and "index" [B], as a loader gives them.
  """
  key = jax.random.fold_in(keys.stream(seed, "views"), 0)  # of epoch 0

  def shown(image, extent, index):
    def one(image, extent, index):
      params = link(augment.sample_views(recipe, jax.random.fold_in(key, index), extent))
      return params, augment.apply_views(recipe, params, augment.to_float(image))

    return jax.vmap(one)(image, extent, index)

  program = compiling.once(shown)
  count = len(batch["image"])
  rows = np.arange(-(-count // _AT_ONCE) * _AT_ONCE) % count  # whole pieces
  pieces = [
    jax.device_get(program(*(batch[k][piece] for k in ("image", "extent", "index"))))
    for piece in rows.reshape(-1, _AT_ONCE)
  ]
  return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *pieces)
