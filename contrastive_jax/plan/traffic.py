"""What a collective carries, from the shapes that a step knows and the name of the operation."""

import dataclasses
import re

from contrastive_jax.plan.hlo import Collective, Item

IMAGES = "images"
EMBEDDINGS = "embeddings"
BATCH_NORM = "batch norm"
GRADIENTS = "gradients"
PARAMETERS = "parameters"
STATISTICS = "other statistics"
ALL = (IMAGES, EMBEDDINGS, BATCH_NORM, GRADIENTS, PARAMETERS, STATISTICS)


@dataclasses.dataclass(frozen=True)
class Shapes:
  """What the arrays of a step look like.

  Attributes:
    rows: lengths that the first axis of a batch has: images or views, of all devices or of one.
    parameters: shapes of the weights, of which XLA may turn the axes: see `in_any_order`.
  """

  rows: frozenset[int]
  parameters: frozenset[tuple[int, ...]]


def in_any_order(shape: tuple[int, ...]) -> tuple[int, ...]:
  """Returns the shape with its axes sorted, as `Shapes.parameters` holds it."""
  return tuple(sorted(shape))


def carries(collective: Collective, item: Item, shapes: Shapes) -> str:
  """Names what `item` is.

  Anything with four axes that is no weight counts as images, and so does every byte array: the
  pixels that a host sends are uint8, and views and feature maps have four axes.
  """
  weight = in_any_order(item.shape) in shapes.parameters and item.dtype[0] in "fb"
  if item.dtype == "u8" or (len(item.shape) >= 4 and not weight):
    return IMAGES
  # Where XLA merges several, it may join their names by colons.
  if all(re.search(r"norm\w*/\w*reduce", name) for name in collective.op.split(":")):
    if len(item.shape) < 2 or not weight:
      return BATCH_NORM
  of_rows = bool(item.shape) and item.shape[0] in shapes.rows
  if of_rows and (not weight or "shard_map" in collective.op):
    return EMBEDDINGS
  if weight:
    return PARAMETERS if collective.kind == "all-gather" else GRADIENTS
  return STATISTICS
