"""Folders around the images of a split, or around splits and classes, that are none themselves."""

import itertools
import logging
from typing import Any, NamedTuple

from contrastive_jax.data import splits, splits_in_part
from contrastive_jax.data.splits import Tree

_DEEPEST = 8  # folders around all; a link may lead up


class Split(NamedTuple):
  """A split as it lies there."""

  folder: Any
  images: Any  # the same, or the only folder in it
  classes: list[str]  # sub-folders that hold images


def inner(base: Any, tree: Tree, labels: str) -> Any:
  """Returns the folder of splits or classes: another, if it is the only one in that folder.

  So are images/ around classes, and dogs/ around train/ and test/. One that holds folders alone is
  left out too where these are to be classes: else it would be the only class.
  """
  if any(map(splits.kind, tree.folders(base))):
    return base
  inside = split(base, tree).images
  around = _around(inside, tree)
  if around is None:
    return inside
  if not any(map(splits.kind, tree.folders(around))):
    if labels not in ("auto", "folder"):
      return inside
    if labels == "auto" and splits_in_part.find(around, tree):
      return around
    logging.getLogger(__name__).info(
      "%s is the only folder in %s: the folders in it are taken as classes", around, base
    )
  return around


def _around(place: Any, tree: Tree) -> Any:
  """Returns the first folder of several folders, below such of one and no image; None: no such."""
  below = place
  for _ in range(_DEEPEST):
    names = (name for name in tree.folders(below) if tree.has_images(below / name))
    with_images = list(itertools.islice(names, 2))
    if tree.is_flat(below) or not with_images:
      return None
    if len(with_images) > 1 or splits.kind(with_images[0]):
      return None if below is place else below
    below = below / with_images[0]
  return None


def split(folder: Any, tree: Tree) -> Split:
  """Returns a split as it lies in its folder: one folder around all is looked through."""
  with_images = [name for name in tree.folders(folder) if tree.has_images(folder / name)]
  if len(with_images) == 1 and _is_around(with_images[0], folder):
    inner = folder / with_images[0]
    if not tree.is_flat(folder):
      return split(inner, tree)._replace(folder=folder)
  return Split(folder, folder, with_images)


def _is_around(name: str, folder: Any) -> bool:
  """Returns whether the only folder in another holds its images, or classes, and is none itself."""
  return splits.is_container(name) or name == folder.name
