"""What a file system answers of the folders of a set: each is looked at once."""

import os
import pathlib
import stat
from typing import NamedTuple

from contrastive_jax import reading, slow
from contrastive_jax.data import lists, splits, walk
from contrastive_jax.data.listing import Listing


class _Inside(NamedTuple):
  """What lies directly in a folder; of a million images no name is kept."""

  folders: list[str]
  files: list[str]  # that are no images
  has_image: bool


class Tree:
  """See `splits.Tree`. What it has seen it keeps: one is made each time that a set is opened."""

  is_folder = staticmethod(reading.is_folder)

  def __init__(
    self,
    suffixes: tuple[str, ...],
    listings: str = "",
    outside: frozenset[str] = splits.SYSTEM,
  ):
    self.suffixes, self._listings, self._outside = suffixes, listings, outside
    self._seen: dict[str, _Inside] = {}
    self._with_images: dict[str, bool] = {}

  def is_file(self, path: pathlib.Path) -> bool:
    """`Path.is_file` says no where that cannot be known, and a set would lose its labels."""
    try:
      return stat.S_ISREG(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
      return False

  def folders(self, root: pathlib.Path) -> list[str]:
    return self._inside(root).folders

  def files(self, root: pathlib.Path) -> list[str]:
    return self._inside(root).files

  def is_flat(self, root: pathlib.Path) -> bool:
    return self._inside(root).has_image

  def listed(self, root: pathlib.Path) -> Listing:
    return lists.of(root, self.suffixes, self._listings, self._outside)

  def has_images(self, root: pathlib.Path) -> bool:
    if (asked := str(root)) not in self._with_images:
      self._with_images[asked] = walk.holds_image(root, self.suffixes, self._outside)
    return self._with_images[asked]

  def content(self, path: pathlib.Path) -> bytes:
    with slow.named(str(path)):
      return path.read_bytes()

  measured = staticmethod(walk.measured)

  def _inside(self, root: pathlib.Path) -> _Inside:
    if (asked := str(root)) not in self._seen:
      self._seen[asked] = self._look(root)
    return self._seen[asked]

  def _look(self, root: pathlib.Path) -> _Inside:
    folders, files, has_image = [], [], False
    with os.scandir(root) as entries:
      for entry in entries:
        if entry.is_dir():
          folders.append(entry.name)
        elif entry.name.startswith("."):
          continue
        elif entry.name.lower().endswith(self.suffixes):
          has_image = has_image or entry.is_file()
        elif entry.is_file():
          files.append(entry.name)
    belonging = [name for name in folders if splits.belongs(name, self._outside)]
    return _Inside(sorted(belonging), sorted(files), has_image)
