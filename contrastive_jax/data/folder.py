"""A plain folder of image files: flat (no labels), or a sub-folder for each class, at any depth.

`path/split` is used if it is a folder, so PATH/train/cat/1.jpg, PATH/cat/1.jpg and PATH/1.jpg all
work. Files are ordered by the bytes of their relative path: the same on every machine and file
system.

Imports: errors, options, reading.
"""

import copy
import dataclasses
import functools
import os
import pathlib

import numpy as np
from PIL import Image

from contrastive_jax import errors, reading
from contrastive_jax.buckets import address
from contrastive_jax.data import Example, images, lists, splits, walk
from contrastive_jax.data.identity import digest
from contrastive_jax.data.listing import Listing
from contrastive_jax.options import option
from contrastive_jax.paths import local

# Of pixels; what this Pillow was built without is left out, and told.
SUFFIXES = (
  *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".dib", ".gif"),
  *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".avifs"),
  *(".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".tga", ".qoi", ".sgi", ".pcx", ".dds"),
)
_SIZES = 10_000  # files whose size is part of what the set is


@dataclasses.dataclass(frozen=True)
class Options:
  path: str = option("", "folder of images; PATH/SPLIT is used if it is there", identity=False)
  listings: str = option(
    "",
    "folder for lists of 100,000 files and more, best seen by all hosts (unset: the user's cache)",
    identity=False,
  )
  labels: str = option("auto", "sub-folders are classes: auto (if any), folder (required) or none")
  npy: bool = option(
    False, "files ending in .npy are images too, arrays [h, w] or [h, w, channels]"
  )
  max_megapixels: int = option(
    images.MAX_MEGAPIXELS,
    "of an image: a JPEG of more is decoded at 1/2, 1/4 or 1/8, any other is replaced",
  )
  cache_gb: float = option(
    50.0, "of a set in a bucket: files kept on this host, of each split", identity=False
  )

  def __post_init__(self):
    images.check_cache(self.cache_gb, "data.folder.cache_gb")
    images.check_limit(self.max_megapixels, "data.folder.max_megapixels")


class Folder:
  """Files decoded when asked for."""

  native_size_px = None
  _size_px = _form = None

  def __init__(
    self,
    root: pathlib.Path,
    paths: Listing,
    labels: np.ndarray,
    names: tuple[str, ...],
    max_megapixels: int = images.MAX_MEGAPIXELS,
  ):
    self.root, self.paths, self.labels, self.label_names = root, paths, labels, names
    self._max_megapixels = max_megapixels
    self.num_classes = len(names)
    self.factors: dict[str, np.ndarray] = {}

  def __len__(self) -> int:
    return len(self.paths)

  def content(self) -> str:
    """Returns a digest of all paths and labels, and of the sizes of 10,000 files at most."""
    sizes = self.paths.sizes[:: -(-len(self.paths) // _SIZES)].tolist()
    labels = self.labels.astype(np.int64)
    return digest([self.paths.names.data, labels.data, repr(sizes).encode()])

  def __getitem__(self, index: int) -> Example:
    path = os.path.join(self.root, self.paths[index])
    image = images.read(path, self.root, self._max_megapixels, self._size_px, self._form)
    return {"image": image, "label": int(self.labels[index]), "index": index}

  @property
  def listing(self) -> Listing:
    """All files, by which `workdir` tells what has changed."""
    return self.paths

  def within(self, size_px: int) -> "Folder":
    """Returns this source with images shrunk to fit in a square, decoded no larger than needed."""
    source = copy.copy(self)
    source._size_px = size_px
    return source

  def formed(self, form) -> "Folder":
    """Returns this source with images in another form than 8-bit RGB, see `pixels`."""
    source = copy.copy(self)
    source._form = form
    return source

  def in_common(self, other: "Folder") -> int:
    """Returns how many files of `other` are here too: the same folder, or one inside the other."""
    here, there = (os.path.realpath(source.root) for source in (self, other))
    if here == there:
      return sum(path in self.paths for path in other.paths)
    if os.path.commonpath((here, there)) == here:
      below = os.path.relpath(there, here)
      return sum(os.path.join(below, path) in self.paths for path in other.paths)
    if os.path.commonpath((here, there)) == there:
      below = os.path.relpath(here, there)
      return sum(
        os.path.relpath(other.paths[i], below) in self.paths for i in other.paths.within(below)
      )
    return 0


def build(split: str, options: Options) -> Folder:
  """Lists a split. Raises UserError: no such folder, no image in it, or classes left unclear."""
  if options.labels not in ("auto", "folder", "none"):
    raise errors.UserError(f"data.folder.labels is {options.labels!r}; use auto, folder or none")
  if address.is_bucket(options.path):
    from contrastive_jax.data import folder_in_bucket

    tree, base = folder_in_bucket.tree(options)
    made = functools.partial(folder_in_bucket.InBucket, tree, options)
  else:
    tree, base = Tree(options), pathlib.Path(local(options.path, "data.folder.path"))
    made = functools.partial(Folder, max_megapixels=options.max_megapixels)
    if not options.path or not reading.is_folder(base):
      raise errors.Absent(f'no folder "{options.path}"; set data.folder.path to a folder of images')
  root, siblings = splits.find(base, split, tree)
  if len(siblings) == 1 and root != base and splits.kind(root.name):
    beside = [name for name in tree.folders(base) if name != root.name]
    splits.check_not_a_class(root, (name for name in beside if tree.has_images(base / name)))
  paths = tree.listed(root)
  if not len(paths):
    raise errors.Absent(
      f"no image under {root}; it must hold files ending in {', '.join(SUFFIXES)}"
    )
  splits.check_not_within(root, paths.nested)
  if options.labels == "none":
    return made(root, paths, np.full(len(paths), -1), ())
  if paths.loose and (options.labels == "folder" or paths.loose < len(paths)):
    first = next(path for path in paths if os.sep not in path)
    raise errors.UserError(
      f"{paths.loose} of {len(paths)} images lie directly in {root} ({first!r}), not in a class"
      " folder; move them, or set data.folder.labels=none"
    )
  if paths.loose:
    return made(root, paths, np.full(len(paths), -1), ())
  # Classes of all splits together: one that is missing in this split must not shift the numbers.
  names = sorted({n for sibling in siblings for n in tree.folders(sibling)}, key=os.fsencode)
  labels = np.full(len(paths), -1, np.int32)
  for number, name in enumerate(names):
    files = paths.within(name)  # which lie together
    labels[files.start : files.stop] = number
  return made(root, paths, labels, tuple(names))


class Tree:
  """What a file system answers of folders."""

  is_folder = staticmethod(reading.is_folder)
  folders = staticmethod(splits.folders)

  def __init__(self, options: Options):
    self._listings, self._suffixes = options.listings, suffixes(options.npy)

  def listed(self, root: pathlib.Path) -> Listing:
    return lists.of(root, self._suffixes, self._listings)

  def has_images(self, root: pathlib.Path) -> bool:
    return bool(walk.scan(root, self._suffixes, sizes=False))


def listed(root: pathlib.Path) -> Listing:
  """Returns the relative paths of all images below root, links followed, nothing hidden.

  A warning tells how many files are left out for their names, and of what kinds.
  """
  return walk.scan(root, suffixes(), sizes=False)


def suffixes(npy: bool = False) -> tuple[str, ...]:
  """Returns those of `SUFFIXES` that this Pillow reads; and .npy, if asked."""
  known = Image.registered_extensions()
  found = tuple(suffix for suffix in SUFFIXES if known.get(suffix) in images.formats())
  return (*found, ".npy") if npy else found
