"""A plain folder of image files: flat (no labels), or a sub-folder for each class, at any depth.

`path/split` is used if it is a folder, so PATH/train/cat/1.jpg, PATH/cat/1.jpg and PATH/1.jpg all
work. Files are ordered by the bytes of their relative path: the same on every machine and file
system.

Imports: errors, options, reading.
"""

import collections
import copy
import dataclasses
import logging
import os
import pathlib
import stat

import numpy as np
from PIL import Image

from contrastive_jax import errors, reading
from contrastive_jax.data import Example, images, splits
from contrastive_jax.data.identity import digest
from contrastive_jax.options import option
from contrastive_jax.paths import local

# Of pixels; what this Pillow was built without is left out, and told.
SUFFIXES = (
  *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".dib", ".gif"),
  *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".avifs"),
  *(".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".tga", ".qoi", ".sgi", ".pcx", ".dds"),
)
# Lie beside images and are none: nothing is said of them.
_COMPANIONS = (
  *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".html", ".md", ".yaml", ".yml", ".py"),
  *(".db", ".ini", ".log"),
)
_SIZES = 10_000  # files whose size is asked for: a second or so, also over a network


@dataclasses.dataclass(frozen=True)
class Options:
  path: str = option("", "folder of images; PATH/SPLIT is used if it is there", identity=False)
  labels: str = option("auto", "sub-folders are classes: auto (if any), folder (required) or none")
  max_megapixels: int = option(
    images.MAX_MEGAPIXELS,
    "of an image: a JPEG of more is decoded at 1/2, 1/4 or 1/8, any other is replaced",
  )

  def __post_init__(self):
    images.check_limit(self.max_megapixels, "data.folder.max_megapixels")


class Folder:
  """Files decoded when asked for."""

  native_size_px = None
  _size_px = None

  def __init__(
    self,
    root: pathlib.Path,
    paths: list[str],
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
    some = range(0, len(self.paths), -(-len(self.paths) // _SIZES))
    sizes = [_size(os.path.join(self.root, self.paths[i])) for i in some]
    paths = b"\0".join(map(os.fsencode, self.paths))
    return digest([paths, self.labels.astype(np.int64).tobytes(), repr(sizes).encode()])

  def __getitem__(self, index: int) -> Example:
    path = os.path.join(self.root, self.paths[index])
    image = images.read(path, self.root, self._max_megapixels, self._size_px)
    return {"image": image, "label": int(self.labels[index]), "index": index}

  def within(self, size_px: int) -> "Folder":
    """Returns this source with images shrunk to fit in a square, decoded no larger than needed."""
    source = copy.copy(self)
    source._size_px = size_px
    return source

  def in_common(self, other: "Folder") -> int:
    """Returns how many files of `other` are here too: the same folder, or one inside the other."""
    here, there = (os.path.realpath(source.root) for source in (self, other))
    if os.path.commonpath((here, there)) not in (here, there):
      return 0
    files = {os.path.join(here, path) for path in self.paths}
    return sum(os.path.join(there, path) in files for path in other.paths)


def build(split: str, options: Options) -> Folder:
  """Lists a split. Raises UserError: no such folder, no image in it, or classes left unclear."""
  if options.labels not in ("auto", "folder", "none"):
    raise errors.UserError(f"data.folder.labels is {options.labels!r}; use auto, folder or none")
  base = pathlib.Path(local(options.path, "data.folder.path"))
  if not options.path or not reading.is_folder(base):
    raise errors.Absent(f'no folder "{options.path}"; set data.folder.path to a folder of images')
  root, siblings = splits.find(base, split)
  if len(siblings) == 1 and root != base and splits.kind(root.name):
    beside = [name for name in splits.folders(base) if name != root.name]
    splits.check_not_a_class(root, (name for name in beside if listed(base / name)))
  paths = listed(root)
  if not paths:
    raise errors.Absent(
      f"no image under {root}; it must hold files ending in {', '.join(SUFFIXES)}"
    )
  splits.check_not_within(root, paths)
  if options.labels == "none":
    return Folder(root, paths, np.full(len(paths), -1), (), options.max_megapixels)
  loose = [path for path in paths if os.sep not in path]
  if loose and (options.labels == "folder" or len(loose) < len(paths)):
    raise errors.UserError(
      f"{len(loose)} of {len(paths)} images lie directly in {root} ({loose[0]!r}), not in a class"
      " folder; move them, or set data.folder.labels=none"
    )
  if loose:
    return Folder(root, paths, np.full(len(paths), -1), (), options.max_megapixels)
  # Classes of all splits together: one that is missing in this split must not shift the numbers.
  names = sorted({n for sibling in siblings for n in splits.folders(sibling)}, key=os.fsencode)
  number = {name: i for i, name in enumerate(names)}
  labels = np.array([number[path.split(os.sep, 1)[0]] for path in paths])
  return Folder(root, paths, labels, tuple(names), options.max_megapixels)


def listed(root: pathlib.Path) -> list[str]:
  """Relative paths of all images below root, links followed, nothing hidden.

  A warning tells how many files are left out for their names, and of what kinds.
  """
  known = Image.registered_extensions()
  suffixes = tuple(suffix for suffix in SUFFIXES if known.get(suffix) in images.formats())
  found, others = [], collections.Counter()
  for folder, subfolders, files in os.walk(root, followlinks=True, onerror=_tell_or_raise):
    visible = (name for name in subfolders if splits.belongs(name))
    subfolders[:] = [name for name in visible if not _leads_back(folder, name)]
    inside = os.path.relpath(folder, root)
    for file in files:
      if file.startswith("."):
        continue
      if file.lower().endswith(suffixes):
        found.append(file if inside == "." else os.path.join(inside, file))
      else:
        others[os.path.splitext(file)[1].lower()] += 1
  _tell_left_out(root, {k: n for k, n in others.most_common() if k not in _COMPANIONS})
  return sorted(found, key=os.fsencode)


def _tell_or_raise(error: OSError) -> None:
  """A folder that is not for us to see is left out; one that cannot be read is no empty one."""
  if not isinstance(error, PermissionError):
    raise error
  logging.getLogger(__name__).warning(
    "warning: folder %s is left out (%s)", error.filename, error.strerror
  )


def _tell_left_out(root: pathlib.Path, counts: dict[str, int]) -> None:
  if counts:
    kinds = [f"{n} {suffix or 'without a suffix'}" for suffix, n in counts.items()]
    logging.getLogger(__name__).warning(
      "warning: left out under %s, for their names do not end as those of images: %s%s",
      root,
      ", ".join(kinds[:8]),
      ", ..." if len(kinds) > 8 else "",
    )


def _size(path: str) -> int:
  """Returns a file's bytes; -1 for a link, whose own size is that of a path."""
  found = os.lstat(path)
  return -1 if stat.S_ISLNK(found.st_mode) else found.st_size


def _leads_back(folder: str, name: str) -> bool:
  """Whether a sub-folder is a link to a folder that it lies in: a walk would never end."""
  path = os.path.join(folder, name)
  target = os.path.realpath(path)
  return os.path.islink(path) and pathlib.Path(os.path.realpath(folder)).is_relative_to(target)
