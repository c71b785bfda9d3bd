"""A plain folder of image files: flat (no labels), or a sub-folder for each class, at any depth.

`path/split` is used if it is a folder, so PATH/train/cat/1.jpg, PATH/cat/1.jpg and PATH/1.jpg all
work. Files are ordered by the bytes of their relative path: the same on every machine and file
system.
"""

import dataclasses
import os
import pathlib

import numpy as np

from contrastive_jax import errors
from contrastive_jax.data import Example, images
from contrastive_jax.options import option
from contrastive_jax.paths import local

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
SPLITS = ("train", "val", "valid", "validation", "test")


@dataclasses.dataclass(frozen=True)
class Options:
  path: str = option("", "folder of images; PATH/SPLIT is used if it is there", identity=False)
  labels: str = option("auto", "sub-folders are classes: auto (if any), folder (required) or none")


class Folder:
  """Files decoded when asked for."""

  native_size_px = None

  def __init__(
    self, root: pathlib.Path, paths: list[str], labels: np.ndarray, names: tuple[str, ...]
  ):
    self.root, self.paths, self.labels, self.label_names = root, paths, labels, names
    self.num_classes = len(names)
    self.factors: dict[str, np.ndarray] = {}

  def __len__(self) -> int:
    return len(self.paths)

  def __getitem__(self, index: int) -> Example:
    path = os.path.join(self.root, self.paths[index])
    return {"image": images.decode(path, path), "label": int(self.labels[index]), "index": index}

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
  if not options.path or not base.is_dir():
    raise errors.UserError(
      f'no folder "{options.path}"; set data.folder.path to a folder of images'
    )
  present = [name for name in SPLITS if (base / name).is_dir()]
  if (base / split).is_dir():
    root, siblings = base / split, sorted({split, *present})
  elif split == "train" and not present:
    root, siblings = base, [""]
  else:
    raise errors.UserError(
      f"{base} has no sub-folder {split!r}"
      + (f" but {', '.join(present)}" if present else "")
      + "; make one, or name another split"
    )
  paths = listed(root)
  if not paths:
    raise errors.UserError(
      f"no image under {root}; it must hold files ending in {', '.join(SUFFIXES)}"
    )
  if options.labels == "none":
    return Folder(root, paths, np.full(len(paths), -1), ())
  loose = [path for path in paths if os.sep not in path]
  if loose and (options.labels == "folder" or len(loose) < len(paths)):
    raise errors.UserError(
      f"{len(loose)} of {len(paths)} images lie directly in {root} ({loose[0]!r}), not in a class"
      " folder; move them, or set data.folder.labels=none"
    )
  if loose:
    return Folder(root, paths, np.full(len(paths), -1), ())
  # Classes of all splits together: one that is missing in this split must not shift the numbers.
  names = sorted({n for sibling in siblings for n in _folders(base / sibling)}, key=os.fsencode)
  number = {name: i for i, name in enumerate(names)}
  labels = np.array([number[path.split(os.sep, 1)[0]] for path in paths])
  return Folder(root, paths, labels, tuple(names))


def _folders(root: pathlib.Path) -> list[str]:
  with os.scandir(root) as entries:
    return [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]


def listed(root: pathlib.Path) -> list[str]:
  """Relative paths of all images below root, links followed, nothing hidden."""
  found = []
  for folder, subfolders, files in os.walk(root, followlinks=True):
    visible = (name for name in subfolders if not name.startswith("."))
    subfolders[:] = [name for name in visible if not _leads_back(folder, name)]
    inside = os.path.relpath(folder, root)
    for file in files:
      if file.lower().endswith(SUFFIXES) and not file.startswith("."):
        found.append(file if inside == "." else os.path.join(inside, file))
  return sorted(found, key=os.fsencode)


def _leads_back(folder: str, name: str) -> bool:
  """Whether a sub-folder is a link to a folder that it lies in: a walk would never end."""
  path = os.path.join(folder, name)
  target = os.path.realpath(path)
  return os.path.islink(path) and pathlib.Path(os.path.realpath(folder)).is_relative_to(target)
