"""Well-known sets that name their images in files of text."""

import collections
from typing import Any

from contrastive_jax import errors
from contrastive_jax.data import set_files
from contrastive_jax.data.rows import Row
from contrastive_jax.data.set_files import Known
from contrastive_jax.data.splits import Tree

# The file that lists the classes of each level of FGVC-Aircraft, and a word in the names of others.
_LEVELS = {"variants.txt": "variant", "families.txt": "family", "manufacturers.txt": "manufacturer"}
_SPLITS = {"train": "train", "validation": "val", "test": "test"}


def cub(place: Any, tree: Tree, whole: bool = True) -> Known:
  """CUB-200-2011, and NABirds, whose names of classes hold spaces and may come twice.

  Args:
    place: the folder.
    tree: in which it lies.
    whole: whether names may hold spaces; to runs from before all of one first word were one class.
  """
  names, classes = (_numbered(place / f, tree, whole) for f in ("images.txt", "classes.txt"))
  labels = _numbered(place / "image_class_labels.txt", tree)
  parts = _numbered(place / "train_test_split.txt", tree)
  if whole:
    counts = collections.Counter(classes[label] for label in set(labels.values()) & set(classes))
    classes = {n: f"{n} {name}" if counts[name] > 1 else name for n, name in classes.items()}
  found = []
  for line, (number, name) in enumerate(names.items(), 1):
    if number not in labels or labels[number] not in classes or number not in parts:
      raise errors.UserError(
        f"{place / 'images.txt'}, line {line}: image {number} has no class or split in "
        "image_class_labels.txt, classes.txt and train_test_split.txt; copy the set again"
      )
    split = "train" if parts[number] == "1" else "test"
    found.append(Row(line, name, classes[labels[number]], split))
  return Known("images.txt", place / "images", found)


def _numbered(path: Any, tree: Tree, whole: bool = False) -> dict[str, str]:
  """Returns what stands behind the number in each line: its first word, or all of it."""
  lines = set_files.lines(path, tree, columns=2)
  return {number: " ".join(rest) if whole else rest[0] for _, (number, *rest) in lines}


def pets(place: Any, tree: Tree) -> Known:
  """Oxford-IIIT Pets: a list a split, in which a name begins with its class."""
  found = []
  for split, file in (("train", "trainval.txt"), ("test", "test.txt")):
    for line, (name, *_) in set_files.lines(place / "annotations" / file, tree, columns=2):
      found.append(Row(line, f"{name}.jpg", name.rpartition("_")[0], split))
  return Known("annotations/trainval.txt", place / "images", found)


def food(place: Any, tree: Tree) -> Known:
  """Food-101: a list a split, of paths without suffixes whose folder is the class."""
  found = []
  for split in ("train", "test"):
    for line, (name, *_) in set_files.lines(place / "meta" / f"{split}.txt", tree, columns=1):
      found.append(Row(line, f"{name}.jpg", name.partition("/")[0], split))
  return Known("meta/train.txt", place / "images", found)


def aircraft(place: Any, tree: Tree, chosen: str = "variants.txt") -> Known:
  """FGVC-Aircraft: a list a split and level, of numbers of images and names that hold spaces."""
  found = []
  for split, name in _SPLITS.items():
    file = f"images_{_LEVELS[chosen]}_{name}.txt"
    for line, (number, *label) in set_files.lines(place / file, tree, columns=2):
      found.append(Row(line, f"{number}.jpg", " ".join(label), split))
  return Known(f"images_{_LEVELS[chosen]}_train.txt", place / "images", found)


def textures(place: Any, tree: Tree, chosen: str = "labels/train1.txt") -> Known:
  """DTD: ten times three lists of paths whose folder is the class; the first three, or others."""
  part = chosen.removeprefix("labels/train")
  found = [
    Row(line, name, name.partition("/")[0], split)
    for split, file in _SPLITS.items()
    for line, (name, *_) in set_files.lines(place / "labels" / f"{file}{part}", tree, columns=1)
  ]
  return Known(chosen, place / "images", found)
