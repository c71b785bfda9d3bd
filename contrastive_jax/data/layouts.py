"""How the images of a folder are read: which belong to a split, and of which classes they are.

As a person reads them: see the table of layouts in docs/data.md, which is tested. `plain` is how
runs from before have read them, and go on.
"""

import functools
import logging
import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from contrastive_jax import errors, plural
from contrastive_jax.data import (
  any_case,
  around,
  class_hints,
  folder_hints,
  folder_lists,
  known_sets,
  list_classes,
  named,
  places365,
  splits,
  splits_in_part,
  sun397,
)
from contrastive_jax.data.any_case import AnyCase
from contrastive_jax.data.around import Split
from contrastive_jax.data.labels import distinct, tell_alike
from contrastive_jax.data.listing import Listing
from contrastive_jax.data.splits import Tree

LABELS = ("auto", "folder", "path", "name", "none")
_NONE = -1


class Reading(NamedTuple):
  """The images of one split."""

  root: Any  # the folder below which their paths are
  paths: Listing
  labels: np.ndarray  # int [n], -1: none
  names: tuple[str, ...]  # of the classes of all splits; (): this one has no labels


def plain(base: Any, split: str, tree: Tree, labels: str, suffixes: Sequence[str]) -> Reading:
  """Reads folders as runs from before did: every sub-folder of a split is a class."""
  root, siblings = _found(base, split, tree)
  paths = _listed(root, tree, suffixes)
  if labels == "none" or not _in_classes(root, paths, labels):
    return _unlabelled(root, paths)
  # Classes of all splits together: one that is missing in this split must not shift the numbers.
  names = _sorted({name for sibling in siblings for name in tree.folders(sibling)})
  return Reading(root, paths, _by_folder(paths, names), names)


def read(
  base: Any,
  split: str,
  tree: Tree,
  labels: str,
  suffixes: Sequence[str],
  version: int = known_sets.NEWEST,
  column: str = "",
) -> Reading:
  """Reads a split.

  Args:
    base: the folder that a user named.
    split: as it was asked for.
    tree: in which it lies.
    labels: one of `LABELS`, or the name of a list in `base`.
    suffixes: of images, for an error.
    version: by which sets are known: runs from before did not know all, and read them otherwise.
    column: of labels in that list; "": found by its usual names.

  Raises:
    UserError: there is no such split, no image in it, or its classes are not clear.
  """
  own = AnyCase(tree, base, exact=version < 3)  # for files of known sets
  known = known_sets.whole(base, own, labels, version)
  if version >= 3 and not known and (known := sun397.partition(base, own, labels)):
    any_case.tell(own, known.images, known.what)
  if known:
    without = "copy the set again, or set data.folder.labels to folder or none"
    read = named.read(known.images, known.rows, split, tree, known.what, False, without, without)
    return Reading(*read)
  if labels == "auto" and version >= 2:
    if categories := places365.find(base, own):
      return _by_category(categories, base, split, tree, suffixes)
    if place := sun397.folder(base, own):
      base, labels = place, "path"
    else:
      known_sets.tell_of_others(base, own)
  if labels == "auto" and version >= 3 and not tree.is_folder(base / split):
    class_hints.check_no_archives(base, tree)
  given, base = base, around.inner(known_sets.base_of(base, own), tree, labels)
  listed = None
  if labels not in LABELS:
    listed = folder_lists.read(given, base, tree, labels, LABELS, column)
  if listed and any(row.split for row in listed) and not any(map(splits.kind, tree.folders(base))):
    part = around.split(base, tree)
    paths = _listed(part.images, tree, suffixes)
    prefix = folder_lists.below(part.images, given)
    found = folder_lists.of_split(listed, paths, prefix, labels, part.images, split)
    return _unless_none(Reading(part.images, *found))
  by_word = splits_in_part.folders(base, split, tree) if labels == "auto" else None
  root, siblings = by_word or _found(base, split, tree)
  if labels == "auto" and version >= 3 and siblings == [base]:
    class_hints.check_no_parts_of_splits(base, tree)
  if labels not in ("auto", "folder") and siblings == [base]:
    splits_in_part.tell_if_mixed(base, tree, labels)
  parts = {sibling: around.split(sibling, tree) for sibling in siblings}
  here = parts[root]
  root = here.images
  paths = _listed(root, tree, suffixes)
  if labels == "none":
    return _unlabelled(root, paths)
  if labels in ("path", "name"):
    return _by_names(root, paths, parts, here, tree, labels)
  if listed:
    names = list_classes.classes([row.label for row in listed], f"{labels}: the label")
    prefix = folder_lists.below(root, given)
    others = {
      str(part.folder.name): functools.partial(tree.listed, part.images)
      for part in parts.values()
      if part != here
    }
    meant = folder_lists.of_one(listed, paths, prefix, labels, here.folder.name, others)
    beside = (listed_there() for listed_there in others.values())
    if not meant or others and folder_lists.names_others(meant, paths, prefix, labels, beside):
      logging.getLogger(__name__).warning(
        "warning: %s names images of other splits, and none of the %s in %s: they have no label%s; "
        "if these are meant call the list after their split (train_labels.csv)",
        *(labels, plural.of(len(paths), "image"), root),
        "; data.folder.labels=auto reads the folders that they lie in as classes: move the others "
        "into such folders, too"
        if here.classes
        else "",
      )
      return _unlabelled(root, paths)
    found = folder_lists.labels(meant, paths, prefix, labels, names, root)
    return _unless_none(Reading(root, paths, found, names))
  lists, folders = {}, {name for part in parts.values() for name in part.classes}
  if labels == "auto":
    flat = [part.folder for part in parts.values() if not part.classes]
    about = (base, given, own, version, folders)
    lists = {folder: known_sets.of_split(folder, *about) for folder in flat}
    lists = {folder: found for folder, found in lists.items() if found}
  names = _sorted(folders | {row.label for _, found in lists.values() for row in found})
  tell_alike(names, str(base))
  if here.folder in lists:
    file, found = lists[here.folder]
    found = folder_lists.labels(found, paths, "", file, names, root)
    return _unless_none(Reading(root, paths, found, names))
  if not _in_classes(root, paths, labels):
    folder_hints.of_flat(here.folder, here.images, given, paths, tree, in_name, folders)
    return _unlabelled(root, paths)
  if labels == "auto":
    folder_hints.of_classes(names, given, root, paths, tree)
    class_hints.tell(here.classes, given, root, paths, tree, siblings == [base])
  return Reading(root, paths, _by_folder(paths, names), names)


def _by_category(
  found: places365.Found, base: Any, split: str, tree: Tree, suffixes: Sequence[str]
) -> Reading:
  root = places365.folder(found, split, base)
  paths, names = _listed(root, tree, suffixes), _sorted(set(found.names))
  kind = splits.kind(split)
  if kind == "validation" and found.validation:
    file = places365.VALIDATION
    labels = folder_lists.labels(found.validation, paths, "", file, names, root)
    return _unless_none(Reading(root, paths, labels, names))
  if kind == "validation":
    logging.getLogger(__name__).warning(
      "warning: there is no %s beside %s: its images have no label; copy that file of the set",
      *(places365.VALIDATION, places365.CATEGORIES),
    )
  if kind != "train":
    return _unlabelled(root, paths)
  numbers = {name: number for number, name in enumerate(names)}
  other = next((path for path in paths if os.path.dirname(path) not in numbers), None)
  if other is not None:
    raise errors.UserError(
      f"{root}: {other!r} lies in no category of {places365.CATEGORIES}; copy the set again, or "
      "set data.folder.labels=path"
    )
  labels = np.array([numbers[os.path.dirname(path)] for path in paths], np.int32)
  return Reading(root, paths, labels, names)


def _found(base: Any, split: str, tree: Tree) -> tuple[Any, list[Any]]:
  """Returns `splits.find`. Raises UserError: a split may be a class."""
  root, siblings = splits.find(base, split, tree)
  if len(siblings) == 1 and root != base and splits.kind(root.name):
    beside = [name for name in tree.folders(base) if name != root.name]
    splits.check_not_a_class(root, (name for name in beside if tree.has_images(base / name)))
  return root, siblings


def _listed(root: Any, tree: Tree, suffixes: Sequence[str]) -> Listing:
  paths = tree.listed(root)
  if not len(paths):
    folder_hints.raise_for_none(root, tree, suffixes)
  splits.check_not_within(root, paths.nested)
  return paths


def _in_classes(root: Any, paths: Listing, labels: str) -> bool:
  """Returns whether the images lie in folders. Raises UserError: some do and some do not."""
  if paths.loose and (labels == "folder" or paths.loose < len(paths)):
    first = next(path for path in paths if os.sep not in path)
    lies = plural.of(
      paths.loose, f"of {plural.of(len(paths), 'image')} lies", f"of {len(paths):,} images lie"
    )
    raise errors.UserError(
      f"{lies} directly in {root} ({first!r}), "
      f"not in a class folder; move {'it' if paths.loose == 1 else 'them'}, or set "
      "data.folder.labels=none"
    )
  return not paths.loose


def _unlabelled(root: Any, paths: Listing) -> Reading:
  return Reading(root, paths, np.full(len(paths), _NONE), ())


def _unless_none(read: Reading) -> Reading:
  """Returns a reading; without names of classes, if no image of the split has one."""
  return read if (read.labels >= 0).any() else _unlabelled(read.root, read.paths)


def _sorted(names: set[str]) -> tuple[str, ...]:
  return tuple(sorted(names - {""}, key=os.fsencode))


def _by_folder(paths: Listing, names: Sequence[str]) -> np.ndarray:
  labels = np.full(len(paths), _NONE, np.int32)
  for number, name in enumerate(names):
    files = paths.within(name)  # which lie together
    labels[files.start : files.stop] = number
  return labels


def _by_names(
  root: Any, paths: Listing, parts: dict[Any, Split], here: Split, tree: Tree, labels: str
) -> Reading:
  """Reads classes off all folders of a path, or off the names of files, over all splits."""
  class_of = os.path.dirname if labels == "path" else in_name
  others = (part for part in parts.values() if part.folder != here.folder)
  known = [paths, *(tree.listed(part.images) for part in others)]
  names = _sorted({class_of(path) for some in known for path in some})
  if not names:
    raise errors.UserError(
      f"no class in the {'paths' if labels == 'path' else 'names'} of images such as {paths[0]!r} "
      f"in {root}, as data.folder.labels={labels} asks for; set it to none"
    )
  count = sum(len(some) for some in known)
  distinct(len(names), count, f"the class in names such as {paths[0]!r}")
  numbers = {name: number for number, name in enumerate(names)}
  found = np.array([numbers.get(class_of(path), _NONE) for path in paths], np.int32)
  return _unless_none(Reading(root, paths, found, names))


def in_name(path: str) -> str:
  """Returns the class in the name of a file: what comes before its number; "" for none.

  "cat.0.jpg" is of class cat, "Great_Pyrenees_12.jpg" of Great_Pyrenees.
  """
  stem = os.path.splitext(os.path.basename(path))[0]
  match = re.fullmatch(r"(.*?)[ ._-]*\(?\d+\)?", stem)
  return (match[1] if match else stem).strip(" ._-")
