"""A folder of image files: flat, a sub-folder for each class, or as a known set is downloaded.

`path/split` is used if it is a folder, so PATH/train/cat/1.jpg, PATH/cat/1.jpg and PATH/1.jpg all
work; `layouts` says what else is understood. Files are ordered by the bytes of their relative path:
the same on every machine and file system.

Imports: errors, options, reading.
"""

import copy
import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable
from typing import ClassVar

import numpy as np
from PIL import Image

from contrastive_jax import data, errors, reading
from contrastive_jax.buckets import address
from contrastive_jax.data import (
  Example,
  folder_on_disk,
  images,
  layouts,
  parts,
  rows,
  splits,
  walk,
)
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
LAYOUTS = ("known-3", "known-2", "known", "plain")  # the newest first
PLAIN = "plain"  # of runs whose config does not say
_SIZES = 10_000  # files whose size is part of what the set is


@dataclasses.dataclass(frozen=True)
class FileOptions:
  """Options of all sources that are files of images."""

  key: ClassVar[str]  # of their section, in errors

  holdout: float = option(
    0.0, "part of the training images that is split test, where there is none: 0.1, ..."
  )
  max_megapixels: int = option(
    images.MAX_MEGAPIXELS,
    "of an image: a JPEG of more is decoded at 1/2, 1/4 or 1/8, any other is replaced",
  )
  cache_gb: float = option(
    50.0, "of a set in a bucket: files kept on this host, of each split", identity=False
  )

  def __post_init__(self):
    parts.check(self.holdout, f"{self.key}.holdout")
    images.check_cache(self.cache_gb, f"{self.key}.cache_gb")
    images.check_limit(self.max_megapixels, f"{self.key}.max_megapixels")


@dataclasses.dataclass(frozen=True)
class Options(FileOptions):
  key = "data.folder"
  path: str = option("", "folder of images; PATH/SPLIT is used if it is there", identity=False)
  listings: str = option(
    "",
    "folder for lists of 100,000 files and more, best seen by all hosts (unset: the user's cache)",
    identity=False,
  )
  labels: str = option(
    "auto",
    "classes: auto (sub-folders, or as a known set has them), folder (required), path (all folders "
    "of a path), name (of a file, before its number), none, or a list in PATH (CSV, JSON lines)",
  )
  label_column: str = option(
    "",
    "column of classes in that list; empty: label, class, target, ...; A,B,C or one_hot: a column "
    "a class, of 0 and 1",
  )
  layout: str | None = option(
    None,
    "how folders are read: known-3 (docs/data.md), or as by runs from before, known-2, known or "
    "plain (unset: the run's own; of a new one known-3)",
  )
  npy: bool = option(
    False, "files ending in .npy are images too, arrays [h, w] or [h, w, channels]"
  )


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

  def hashes(self, seed: int) -> np.ndarray:
    """Returns a number of 64 bits for the path of each file in the split, uint64 [n]."""
    return self.paths.hashes(seed)

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

  def places(self, positions: np.ndarray) -> np.ndarray:
    """Returns a number for the whole path of each file, uint64 [n], by positions, int [n]."""
    return self.paths.places(os.path.realpath(self.root), positions)

  def in_common(self, other: "Folder") -> int:
    """Returns how many files of `other` are here too: the same folder, or one inside the other."""
    here, there = (os.path.realpath(source.root) for source in (self, other))
    if here == there:
      if np.array_equal(self.paths.names, other.paths.names):  # seconds of 100,000 otherwise
        return len(other.paths)
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


def build(split: str, options: Options) -> data.Source:
  """Lists a split. Raises UserError: no such folder, no image in it, or classes left unclear."""
  return opener(options)(split)


def opener(options: Options) -> Callable[[str], data.Source]:
  """Returns `build` of a folder that is looked at once, whatever the number of its splits."""
  labels = options.labels
  if labels not in layouts.LABELS and not labels.lower().endswith(rows.SUFFIXES):
    raise errors.UserError(
      f"data.folder.labels is {labels!r}; use {', '.join(layouts.LABELS)}, or the name of a list "
      f"in data.folder.path that ends in {', '.join(rows.SUFFIXES)}"
    )
  if options.label_column and labels in layouts.LABELS:
    raise errors.UserError(
      f"data.folder.label_column is {options.label_column!r}, and data.folder.labels is {labels!r}"
      ", no list with columns; set data.folder.labels to the name of a list in data.folder.path"
    )
  if options.layout not in (None, *LAYOUTS):
    raise errors.UserError(
      f"data.folder.layout is {options.layout!r}; use {' or '.join(LAYOUTS)}, or leave it unset"
    )
  if options.layout == PLAIN and labels not in ("auto", "folder", "none"):
    raise errors.UserError(
      f"data.folder.labels is {labels!r}, and with data.folder.layout=plain it can be auto, folder "
      "or none; leave one of them out"
    )
  outside = splits.PLAIN if options.layout == PLAIN else splits.SYSTEM
  if address.is_bucket(options.path):
    from contrastive_jax.data import folder_in_bucket

    tree, base = folder_in_bucket.tree(options.path, "data.folder.path", outside, options.npy)
    made = functools.partial(folder_in_bucket.InBucket, tree, options)
  else:
    base = pathlib.Path(local(options.path, "data.folder.path"))
    tree = folder_on_disk.Tree(suffixes(options.npy), options.listings, outside)
    made = functools.partial(Folder, max_megapixels=options.max_megapixels)
    if not options.path or not reading.is_folder(base):
      raise errors.Absent(f'no folder "{options.path}"; set data.folder.path to a folder of images')
  version = len(LAYOUTS) - 1 - LAYOUTS.index(options.layout or LAYOUTS[0])
  read = functools.partial(layouts.read, version=version, column=options.label_column)
  read = layouts.plain if options.layout == PLAIN else read
  return functools.partial(
    parts.held_out,
    lambda asked: made(*read(base, asked, tree, labels, SUFFIXES)),
    part=options.holdout,
    key="data.folder.holdout",
  )


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
