"""SUN397, whose classes are all folders of a path, and its ten partitions into two splits."""

import re
from typing import Any

from contrastive_jax.data import set_files
from contrastive_jax.data.any_case import AnyCase
from contrastive_jax.data.rows import Row
from contrastive_jax.data.set_files import Known

_CLASSES = "ClassName.txt"
_SPLITS = {"train": "Training", "test": "Testing"}
LISTS = r"(Training_\d\d)\.txt"


def folder(base: Any, tree: AnyCase) -> Any:
  """Returns the folder of the set, without its partitions; None: it is no such set.

  Its list of classes has a line such as /c/church/indoor for each.
  """
  for place in (base, base / "SUN397"):
    if tree.is_file(place / _CLASSES):
      lines = tree.content(place / _CLASSES).decode("utf-8-sig", errors="replace").split()
      if lines and all(re.fullmatch(r"/[a-z]/.+", line) for line in lines):
        return tree.place(place)
  return None


def partition(base: Any, tree: AnyCase, labels: str) -> Known | None:
  """Returns the first of the partitions, or that whose list is named; None: there is none.

  Of a class each names 50 images of either split, and leaves others out.

  Args:
    base: the folder of the set, or that above.
    tree: in which it lies.
    labels: "auto", or the list of its training images.

  Raises:
    UserError: a list is gone.
  """
  chosen = re.fullmatch(LISTS, labels.rpartition("/")[2])
  if labels != "auto" and not chosen:
    return None
  number = chosen[1][-2:] if chosen else "01"
  for place in (base, base / "SUN397"):
    if not tree.is_folder(place / "a"):  # the first letter of abbey
      continue
    for lists in (place, place / "Partitions", base, base / "Partitions"):
      files = {split: f"{word}_{number}.txt" for split, word in _SPLITS.items()}
      if all(tree.is_file(lists / file) for file in files.values()):
        found = [
          Row(line, name.strip("/"), name.strip("/").rpartition("/")[0], split)
          for split, file in files.items()
          for line, (name, *_) in set_files.lines(lists / file, tree, columns=1)
        ]
        if found and all(re.fullmatch(r"[a-z]/.+/[^/]+", row.name) for row in found):
          return Known(files["train"], tree.place(place), found)
  return None
