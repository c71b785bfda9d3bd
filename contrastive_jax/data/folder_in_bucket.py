"""A folder of image files in a bucket: listed once a start, its files read one by one.

A file takes a request each time that it is read, so the first of them are kept on this host, up to
a size.
"""

import collections

import numpy as np

from contrastive_jax import errors
from contrastive_jax.buckets.address import Address, parsed
from contrastive_jax.buckets.files import Files
from contrastive_jax.data import Example, Unreadable, folder, images, splits, walk
from contrastive_jax.data.listing import Listing


class Tree:
  """What a file system answers of folders, from one listing of a bucket."""

  def __init__(self, files: Files, suffixes: tuple[str, ...]):
    self.files, self._folders, self._suffixes = files, collections.defaultdict(set), suffixes
    for name in files.sizes:
      parts = name.split("/")
      for depth in range(1, len(parts)):
        self._folders["/".join(parts[: depth - 1])].add(parts[depth - 1])

  def is_folder(self, place: Address) -> bool:
    above, _, name = self.inside(place).rpartition("/")
    return not self.inside(place) or name in self._folders.get(above, ())

  def folders(self, place: Address) -> list[str]:
    return sorted(filter(splits.belongs, self._folders.get(self.inside(place), ())))

  def listed(self, place: Address) -> Listing:
    begin = self.inside(place)
    begin = f"{begin}/" if begin else ""
    sizes = {n[len(begin) :]: size for n, size in self.files.sizes.items() if n.startswith(begin)}
    return walk.of_names(place, sizes, self._suffixes)

  def has_images(self, place: Address) -> bool:
    return bool(self.listed(place))

  def inside(self, place: Address) -> str:
    return place.path.removeprefix(self.files.address.path).strip("/")


class InBucket(folder.Folder):
  """Files read and decoded when asked for."""

  def __init__(self, tree: Tree, options: folder.Options, root, paths, labels, names):
    super().__init__(root, paths, labels, names, options.max_megapixels)
    inside = tree.inside(root)
    self._names = [f"{inside}/{path}" if inside else path for path in paths]
    self._files = tree.files.only(self._names)
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

  def in_common(self, other: "InBucket") -> int:
    """Returns how many files of `other` are here too."""
    here, there = ({str(s.root / path) for path in s.paths} for s in (self, other))
    return len(here & there)


def tree(options: folder.Options) -> tuple[Tree, Address]:
  """Lists a set. Raises UserError: no such bucket, or nothing in it."""
  place = parsed(options.path, "data.folder.path")
  found = Tree(Files(place, "data.folder.path"), folder.suffixes(options.npy))
  if not found.files.sizes:
    raise errors.Absent(f'no folder "{options.path}"; set data.folder.path to a folder of images')
  return found, place
