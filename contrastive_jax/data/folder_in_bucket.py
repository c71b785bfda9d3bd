"""A folder of image files in a bucket: listed once a start, its files read one by one.

A file takes a request each time that it is read, so the first of them are kept on this host, up to
a size.
"""

import collections
from collections.abc import Sequence
from typing import Any

import numpy as np

from contrastive_jax import errors
from contrastive_jax.buckets.address import Address, parsed
from contrastive_jax.buckets.files import Files
from contrastive_jax.data import Example, Unreadable, folder, images, listing, splits, walk
from contrastive_jax.data.listing import Listing


class Tree:
  """What a file system answers of folders, from one listing of a bucket; see `splits.Tree`."""

  def __init__(self, files: Files, outside: frozenset[str] = splits.SYSTEM, npy: bool = False):
    self.files_of, self._outside, self.suffixes = files, outside, folder.suffixes(npy)
    self._folders, self._files = collections.defaultdict(set), collections.defaultdict(list)
    self._flat: set[str] = set()
    for name in files.sizes:
      parts = name.split("/")
      if not parts[-1].startswith("."):
        if parts[-1].lower().endswith(self.suffixes):
          self._flat.add("/".join(parts[:-1]))
        else:
          self._files["/".join(parts[:-1])].append(parts[-1])
      for depth in range(1, len(parts)):
        self._folders["/".join(parts[: depth - 1])].add(parts[depth - 1])

  def is_folder(self, place: Address) -> bool:
    above, _, name = self.inside(place).rpartition("/")
    return not self.inside(place) or name in self._folders.get(above, ())

  def is_file(self, place: Address) -> bool:
    return self.inside(place) in self.files_of.sizes

  def folders(self, place: Address) -> list[str]:
    found = self._folders.get(self.inside(place), ())
    return sorted(name for name in found if splits.belongs(name, self._outside))

  def files(self, place: Address) -> list[str]:
    return sorted(self._files.get(self.inside(place), ()))

  def is_flat(self, place: Address) -> bool:
    return self.inside(place) in self._flat

  def listed(self, place: Address) -> Listing:
    begin, known = self._begin(place), self.files_of.sizes
    sizes = {n[len(begin) :]: size for n, size in known.items() if n.startswith(begin)}
    return walk.of_names(place, sizes, self.suffixes, self._outside)

  def has_images(self, place: Address) -> bool:
    return self.is_flat(place) or any(self.has_images(place / name) for name in self.folders(place))

  def content(self, place: Address) -> bytes:
    return self.files_of.content(self.inside(place), keep=False)

  def measured(self, place: Address, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    begin = self._begin(place)
    sizes = [self.files_of.sizes.get(begin + name, listing.GONE) for name in names]
    return np.array(sizes, np.int64), np.zeros(len(names), np.int64)

  def inside(self, place: Address) -> str:
    return place.path.removeprefix(self.files_of.address.path).strip("/")

  def _begin(self, place: Address) -> str:
    inside = self.inside(place)
    return f"{inside}/" if inside else ""


class InBucket(folder.Folder):
  """Files read and decoded when asked for."""

  def __init__(self, tree: Tree, options: Any, root, paths, labels, names):
    super().__init__(root, paths, labels, names, options.max_megapixels)
    inside = tree.inside(root)
    self._names = [f"{inside}/{path}" if inside else path for path in paths]
    self._files = tree.files_of.only(self._names)
    # The first, as many as fit: which is the same for all processes of a host.
    self._num_kept = int(np.searchsorted(np.cumsum(paths.sizes), options.cache_gb * 1e9, "right"))

  def __getitem__(self, index: int) -> Example:
    name = self._names[index]
    try:
      encoded = self._files.content(name, keep=index < self._num_kept)
    except FileNotFoundError as error:
      raise Unreadable(f"{self._files.address / name}: it is no longer there") from error
    place = str(self._files.address / name)
    image = images.decode(encoded, place, self._max_megapixels, self._size_px, self._form)
    return {"image": image, "label": int(self.labels[index]), "index": index}

  def places(self, positions: np.ndarray) -> np.ndarray:
    """Returns a number for the whole name of each file, uint64 [n], by positions, int [n]."""
    return self.paths.places(str(self.root), positions)

  def in_common(self, other: "InBucket") -> int:
    """Returns how many files of `other` are here too: the same folder, or one inside the other."""
    roots = sorted((str(self.root), str(other.root)), key=len)
    if not roots[1].startswith(roots[0]):
      return 0
    here, there = ({str(s.root / path) for path in s.paths} for s in (self, other))
    return len(here & there)


def tree(
  path: str, key: str, outside: frozenset[str] = splits.SYSTEM, npy: bool = False
) -> tuple[Tree, Address]:
  """Lists a set. Raises UserError: no such bucket, or nothing in it."""
  place = parsed(path, key)
  found = Tree(Files(place, key), outside, npy)
  if not found.files_of.sizes:
    raise errors.Absent(f'no folder "{path}"; set {key} to a folder of images')
  return found, place
