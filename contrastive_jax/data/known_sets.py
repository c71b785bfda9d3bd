"""What well-known sets say of their images in files of their own, as they are downloaded.

Each is told by the names of these files. Images lie in the folder that the set has for them.
"""

import io
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from contrastive_jax import errors
from contrastive_jax.data import rows, splits
from contrastive_jax.data.rows import Row
from contrastive_jax.data.splits import Tree

_KAGGLE = ("ILSVRC", "Data", "CLS-LOC")  # ImageNet, as that site packs it
_FOLDERS = ("CUB_200_2011", "food-101")  # that a set is packed in
_DEVKIT = ("ILSVRC2012_devkit_t12", "data")
_TRUTH = "ILSVRC2012_validation_ground_truth.txt"


class Known(NamedTuple):
  """A set whose files name all its images."""

  what: str  # how a line calls its files
  images: Any  # the folder, below which their names are
  rows: list[Row]


def base_of(given: Any, tree: Tree) -> Any:
  """Returns the folder of the splits of a set that was unpacked as it was downloaded."""
  inner = _below(given, _KAGGLE)
  return inner if tree.is_folder(inner) else given


def whole(base: Any, tree: Tree) -> Known | None:
  """Returns the set in a folder if its files name all its images; None: it is no such set."""
  for place in (base, *(base / name for name in _FOLDERS)):
    for files, read in _WHOLE.items():
      if all(tree.is_file(_below(place, name.split("/"))) for name in files):
        return read(place, tree)
  return None


def of_split(split: Any, base: Any, given: Any, tree: Tree) -> tuple[str, list[Row]] | None:
  """Returns what says of the images of one split of which class they are, and the rows of it.

  Args:
    split: its folder.
    base: that of the set.
    given: the folder that a user named, `base` or above.
    tree: in which they lie.
  """
  if tree.is_file(split / "val_annotations.txt"):  # Tiny ImageNet: name, class, corners of a box
    lines = _lines(split / "val_annotations.txt", tree, columns=2)
    return "val_annotations.txt", [Row(n, name, label, "") for n, (name, label, *_) in lines]
  if splits.kind(split.name) != "validation":
    return None
  for place in dict.fromkeys((split, base, given, *(_below(p, _DEVKIT) for p in (base, given)))):
    if tree.is_file(place / "LOC_val_solution.csv"):
      content = tree.content(place / "LOC_val_solution.csv")
      return "LOC_val_solution.csv", rows.parsed(content, "LOC_val_solution.csv")
    for name in ("imagenet_2012_validation_synset_labels.txt", _TRUTH):
      if tree.is_file(place / name):
        return name, _in_order(place, name, tree)
  return None


def _in_order(place: Any, name: str, tree: Tree) -> list[Row]:
  """Returns the classes of images in the order of their names, numbers as what they stand for."""
  found = rows.parsed(tree.content(place / name), name)
  if name != _TRUTH:
    return found
  # The kit's numbers are not in the order of the names that folders have.
  if not tree.is_file(place / "meta.mat"):
    raise errors.UserError(
      f"{place / name} has numbers of classes, and what they stand for is in meta.mat of the same "
      "development kit: put that file beside it, or set data.folder.labels=none"
    )
  synsets = _mat(place / "meta.mat", tree)["synsets"]
  names = {int(i): str(n) for i, n in zip(synsets["ILSVRC2012_ID"], synsets["WNID"], strict=True)}
  for row in found:
    if not row.label.isdigit() or int(row.label) not in names:
      raise errors.UserError(
        f"{place / name}, line {row.line}: {row.label!r} is no number of a class of meta.mat"
      )
  return [row._replace(label=names[int(row.label)]) for row in found]


def _cub(place: Any, tree: Tree) -> Known:
  """CUB-200-2011: images, classes and splits by number."""
  names, labels, parts, classes = (
    {fields[0]: fields[1] for _, fields in _lines(place / file, tree, columns=2)}
    for file in ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")
  )
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


def _flowers(place: Any, tree: Tree) -> Known:
  """Flowers-102: classes and splits as arrays of MATLAB, of images that are numbered from 1."""
  labels = np.ravel(_mat(place / "imagelabels.mat", tree)["labels"]).tolist()
  parts = _mat(place / "setid.mat", tree)
  of = {
    int(number): split
    for split, key in (("train", "trnid"), ("validation", "valid"), ("test", "tstid"))
    for number in np.ravel(parts[key])
  }
  found = [
    Row(n, f"image_{n:05d}.jpg", str(label), of.get(n, "none")) for n, label in enumerate(labels, 1)
  ]
  folder = place / "jpg"
  return Known("imagelabels.mat", folder if tree.is_folder(folder) else place, found)


def _pets(place: Any, tree: Tree) -> Known:
  """Oxford-IIIT Pets: a list a split, in which a name begins with its class."""
  found = []
  for split, file in (("train", "trainval.txt"), ("test", "test.txt")):
    for line, (name, *_) in _lines(place / "annotations" / file, tree, columns=2):
      found.append(Row(line, f"{name}.jpg", name.rpartition("_")[0], split))
  return Known("annotations/trainval.txt", place / "images", found)


def _food(place: Any, tree: Tree) -> Known:
  """Food-101: a list a split, of paths without suffixes whose folder is the class."""
  found = []
  for split in ("train", "test"):
    for line, (name, *_) in _lines(place / "meta" / f"{split}.txt", tree, columns=1):
      found.append(Row(line, f"{name}.jpg", name.partition("/")[0], split))
  return Known("meta/train.txt", place / "images", found)


_WHOLE: dict[tuple[str, ...], Callable[[Any, Tree], Known]] = {
  ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt"): _cub,
  ("imagelabels.mat", "setid.mat"): _flowers,
  ("meta/classes.txt", "meta/labels.txt", "meta/train.txt", "meta/test.txt"): _food,
  ("annotations/trainval.txt", "annotations/test.txt", "annotations/list.txt"): _pets,
}


def _below(place: Any, names: Sequence[str]) -> Any:
  for name in names:
    place = place / name
  return place


def _lines(path: Any, tree: Tree, columns: int) -> list[tuple[int, list[str]]]:
  """Returns (line, fields) of a file of text. Raises UserError: a line has too few fields."""
  found = []
  for number, line in enumerate(tree.content(path).decode(errors="replace").splitlines(), 1):
    fields = re.split(r"\t" if "\t" in line else " ", line.strip())
    if line.strip() and not line.startswith("#"):
      if len(fields) < columns:
        raise errors.UserError(
          f"{path}, line {number}: {line.strip()!r} has fewer than {columns} fields; copy the file "
          "again"
        )
      found.append((number, fields))
  return found


def _mat(path: Any, tree: Tree) -> dict[str, Any]:
  from scipy import io as scipy_io

  try:
    return scipy_io.loadmat(io.BytesIO(tree.content(path)), squeeze_me=True)
  except Exception as error:  # a damaged file makes it raise almost anything
    if isinstance(error, OSError | MemoryError):
      raise
    raise errors.UserError(f"{path} is no file of MATLAB ({error}); copy it again") from error
