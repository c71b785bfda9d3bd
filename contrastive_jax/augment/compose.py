"""Compositions: one view goes through a few operations, the other through none.

So SimCLR studies which operations it takes (section 3.1, figure 5): both views have a beginning in
common, and the operations named are applied to the first of two alone, in their order. The paper
begins with a crop, the same for both, since ImageNet's images are of many sizes; here both begin
with the whole image in the size of a view.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from contrastive_jax import errors
from contrastive_jax.augment import color, crop, filters, geometry, table

OPERATIONS = ("crop", "cutout", "color", "sobel", "noise", "blur", "rotate")
_OF_THE_WHOLE = ("flip", "solarize", "rotate", "sobel", "noise", "cutout", "local_views")


@dataclasses.dataclass(frozen=True)
class Recrop(crop.ResizedCrop):
  """A random crop of what is already a square of `size_px`."""

  def sample(self, key: PRNGKeyArray, extent: Int[Array, "2"]) -> dict[str, Array]:
    return super().sample(key, jnp.full_like(extent, self.size_px))

  def apply(self, params: dict[str, Array], image: Float[Array, "H H C"]) -> Float[Array, "H H C"]:
    return super().apply(params, image)


def pipelines(names: tuple[str, ...], row: table.Row, size_px: int, cropped: crop.ResizedCrop):
  """Returns the pipelines of the views that go through the operations and of those that do not.

  Args:
    names: of operations, in order, the same one once. Crop, colour (jitter, then grey) and blur are
      the recipe's own, a blur of probability 1; the others are applied to every image.
    row: of the recipe.
    size_px: side of a view.
    cropped: the recipe's crop.
  """
  whole = ("whole", crop.Whole(size_px, row.interpolation, row.antialias))
  operations = {
    "crop": [("crop", Recrop(**dataclasses.asdict(cropped)))],
    "cutout": [("cutout", geometry.Cutout(1.0))],
    "color": [
      ("jitter", color.Jitter(*row.jitter, p=row.jitter_p, family=row.jitter_family)),
      ("grey", color.Grey(row.grey_p)),
    ],
    "sobel": [("sobel", filters.Sobel(1.0))],
    "noise": [("noise", filters.Noise(1.0))],
    "blur": [("blur", filters.Blur(1.0, row.blur_family))],
    "rotate": [("rotate", geometry.Rotate(1.0))],
  }
  return (whole, *(pair for name in dict.fromkeys(names) for pair in operations[name])), (whole,)


def check(names: tuple[str, ...], row: table.Row, name: str, given: dict[str, Any]) -> None:
  """Raises `UserError` for operations that there are not, or that cannot be composed.

  Args:
    names: of operations.
    row: of the recipe.
    name: of the recipe.
    given: options that add operations of their own.
  """
  for operation in names:
    if operation not in OPERATIONS:
      raise errors.UserError(
        f"augment.compose has {operation!r}; use some of {', '.join(OPERATIONS)}"
      )
  for option in _OF_THE_WHOLE:
    if given.get(option):
      raise errors.UserError(
        f"augment.{option} {given[option]} has no effect: augment.compose alone says which "
        "operations there are; leave one of them out"
      )
  if row.min_area is None or row.jitter_p == 0:
    raise errors.UserError(
      f"augment.compose takes crop and colour from the recipe, and {name!r} has none; use another, "
      "e.g. 'simclr'"
    )
