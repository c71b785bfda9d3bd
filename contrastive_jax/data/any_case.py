"""A set's files, found in whatever capitals their names are written: ANNOTATIONS/trainval.txt."""

import logging
from typing import Any

from contrastive_jax.data.splits import Tree


class AnyCase:
  """A `splits.Tree` that takes what is called so but for capitals, where one alone is."""

  def __init__(self, tree: Tree, top: Any, exact: bool = False):
    """Takes a tree.

    Args:
      tree: that answers for names as they are written.
      top: the folder above all that is asked for.
      exact: whether capitals count, as in runs from before.
    """
    self._tree, self._top, self._exact = tree, top, exact
    self._known: dict[str, dict[str, list[str]]] = {}  # names of each folder, by small letters
    self._there: dict[str, bool] = {}  # each place is asked about once: a disk may be far away
    self.suffixes = tree.suffixes
    self.folders, self.files, self.listed = tree.folders, tree.files, tree.listed
    self.has_images, self.is_flat, self.measured = tree.has_images, tree.is_flat, tree.measured

  def is_file(self, place: Any) -> bool:
    return self._tree.is_file(self.place(place))

  def is_folder(self, place: Any) -> bool:
    return self._tree.is_folder(self.place(place))

  def content(self, place: Any) -> bytes:
    return self._tree.content(self.place(place))

  def place(self, asked: Any) -> Any:
    """Returns what is called so, or the only thing but for capitals; else what was asked."""
    if self._exact or asked == self._top or self._is_there(asked):
      return asked
    above = str(self._top / "x")[:-1]  # of "." nothing
    found, inside = self._top, str(asked).removeprefix(above)
    for name in inside.split("/"):
      if not self._is_there(found / name):
        alike = self._alike(found, name)
        if len(alike) != 1:
          return asked
        name = alike[0]
      found = found / name
    return found

  def _is_there(self, place: Any) -> bool:
    if (asked := str(place)) not in self._there:
      self._there[asked] = self._tree.is_file(place) or self._tree.is_folder(place)
    return self._there[asked]

  def _alike(self, folder: Any, name: str) -> list[str]:
    if not self._tree.is_folder(folder):
      return []
    if str(folder) not in self._known:
      known = self._known[str(folder)] = {}
      for one in (*self._tree.folders(folder), *self._tree.files(folder)):
        known.setdefault(one.casefold(), []).append(one)
    return self._known[str(folder)].get(name.casefold(), [])


def tell(tree: AnyCase, place: Any, read: str) -> None:
  """Says what a set was taken for, and by which file, so that another one is not read so unseen.

  Args:
    tree: in which it lies.
    place: its folder.
    read: the file that says so, below it.
  """
  file = place
  for name in read.split("/"):
    file = file / name
  logging.getLogger(__name__).info(
    "%s is read as a known set: its images, splits and classes are those of this file",
    tree.place(file),
  )
