"""What a loss is given of a host batch: views, labels and indices."""

import jax
from jaxtyping import Array

from contrastive_jax import augment, keys, methods


def of(
  method: methods.Method,
  recipe: augment.Recipe,
  batch: dict[str, Array],
  *,
  seed: int,
  epoch: Array,
  late: bool = False,
) -> dict[str, Array | augment.LateViews]:
  """Returns {"views", "label", "index"} and, where the recipe has some, "local_views".

  The views of an example depend on (seed, epoch, its index, view) alone, so that they are the same
  on every topology. `late`: they are made where they are needed, each time.
  """
  images = (epoch, batch["image"], batch["extent"], batch["index"])
  make = augment.late_views if late else augment.views
  views = make(recipe, keys.stream(seed, "views"), *images, link=method.link_views)
  inputs = {"views": views, "label": batch["label"], "index": batch["index"]}
  if recipe.local:
    inputs["local_views"] = make(recipe.local, keys.stream(seed, "local_views"), *images)
  return inputs


def method_key(seed: int, step: Array) -> Array:
  """Returns the key of whatever a method draws in a step."""
  return jax.random.fold_in(keys.stream(seed, "method"), step)
