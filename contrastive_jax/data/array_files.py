"""Arrays in the files of sets that are downloaded in a form of their own: STL-10, SVHN, MNIST."""

import logging
import math
import pathlib
import re

import numpy as np

from contrastive_jax import errors, slow
from contrastive_jax.data import idx, set_files, splits

SUFFIXES = ("_x.bin", ".mat", *idx.SUFFIXES)  # in small letters, without .gz
_STL_SHAPE = (3, 96, 96)  # of an image, each of whose channels lies column by column
_AT_ONCE = 1000  # images read
_FOLDS = "fold_indices.txt"
_FOLD = re.compile(r"fold-(\d+)_X\.bin")
_ZIP = b"PK"
_ZERO = 10  # the class of the digit 0 in SVHN


def read(path: pathlib.Path) -> dict[str, np.ndarray] | None:
  """Returns `images` [n, h, w, 3] and, if known, `labels` [n] and `label_names`.

  None: it is a file of NumPy.

  Raises:
    UserError: it is no such file, or has no label for each image.
  """
  if not is_called_so(path.name):
    return None
  if idx.NAME.fullmatch(path.name):
    with slow.named(str(path)):
      return idx.read(path)
  if fold := _FOLD.fullmatch(path.name):
    return _of_fold(path, int(fold[1]))
  with slow.named(str(path)):
    with path.open("rb") as file:
      if file.read(len(_ZIP)) == _ZIP:  # of NumPy, by another name
        return None
    found = _svhn(path) if path.suffix.lower() == ".mat" else _stl10(path)
  labels = found.get("labels")
  if labels is not None and len(labels) != len(found["images"]):
    raise errors.UserError(
      f"{path} holds {len(found['images']):,} images, and there are {len(labels):,} labels; copy "
      "the set again"
    )
  return found


def is_called_so(name: str) -> bool:
  """Returns whether a file is called as those that are read here."""
  return name.lower().removesuffix(".gz").endswith(SUFFIXES)


def is_there(path: pathlib.Path) -> bool:
  """Returns whether a file is there, or what a fold of STL-10 is made of: fold-0_X.bin."""
  return path.is_file() or bool(_FOLD.fullmatch(path.name)) and path.with_name(_FOLDS).is_file()


def _of_fold(path: pathlib.Path, number: int) -> dict[str, np.ndarray]:
  """One of STL-10's ten parts of the training images, each a line of numbers from 0."""
  whole, folds = path.with_name("train_X.bin"), path.with_name(_FOLDS)
  if not (whole.is_file() and folds.is_file()):
    raise errors.Absent(f"a fold of STL-10 is read from {whole.name} and {folds}; copy both there")
  found, lines = read(whole), folds.read_text().splitlines()
  if number >= len(lines):
    raise errors.NoSplit(
      f"{folds} has {len(lines)} folds, from fold-0 on, and no fold-{number}; name another split"
    )
  try:
    chosen = np.array(lines[number].split(), np.int64)
  except ValueError as error:
    raise errors.UserError(f"{folds}, line {number + 1}: {error}; copy it again") from error
  images = found["images"]
  if not len(chosen) or chosen.min() < 0 or chosen.max() >= len(images):
    raise errors.UserError(
      f"{folds}, line {number + 1}: its numbers are not those of the {len(images):,} images in "
      f"{whole}, from 0 on; copy the set again"
    )
  return {k: array[chosen] if len(array) == len(images) else array for k, array in found.items()}


def _svhn(path: pathlib.Path) -> dict[str, np.ndarray]:
  """SVHN's cropped digits: X [h, w, 3, n] and y [n, 1], in which 10 is the digit 0."""
  arrays = set_files.arrays(path.read_bytes(), path, squeeze=False)
  pixels, labels = arrays.get("X"), arrays.get("y")
  if np.ndim(pixels) != 4 or pixels.shape[2] != 3 or labels is None:
    raise errors.UserError(
      f"{path} has no X [h, w, 3, n] and y [n, 1], as SVHN's train_32x32.mat; save its arrays by "
      "numpy.savez(path, images=..., labels=...)"
    )
  labels = np.ravel(labels)
  instead = "save its arrays by numpy.savez(path, images=..., labels=...)"
  if labels.dtype.kind not in "biuf" or not (labels == np.rint(labels)).all():
    raise errors.UserError(f"{path}: y holds no numbers of classes; {instead}")
  least, most = (int(bound(labels, initial=1)) for bound in (np.min, np.max))
  if least < 0 or most > _ZERO or least == 0 and most == _ZERO:
    raise errors.UserError(
      f"{path}: y goes from {least} to {most}, and SVHN's from 1 to {_ZERO}, which is the digit 0: "
      f"it is another set; {instead}"
    )
  images = np.ascontiguousarray(pixels.transpose(3, 0, 1, 2))
  return {"images": images, "labels": labels.astype(np.int64) % _ZERO}


def _stl10(path: pathlib.Path) -> dict[str, np.ndarray]:
  """STL-10: bytes of images, classes from 1 in a file beside it (not of the unlabeled), names."""
  held, size = path.stat().st_size, math.prod(_STL_SHAPE)
  if not held or held % size:
    raise errors.UserError(
      f"{path} has {held:,} bytes, and an image of STL-10 {size:,}; copy the file again"
    )
  images = np.empty((held // size, *_STL_SHAPE[::-1]), np.uint8)
  with path.open("rb") as file:  # 2.8 GB of the unlabeled: not twice in memory
    for start in range(0, len(images), _AT_ONCE):
      piece = np.fromfile(file, np.uint8, len(images[start : start + _AT_ONCE]) * size)
      images[start : start + _AT_ONCE] = piece.reshape(-1, *_STL_SHAPE).transpose(0, 3, 2, 1)
  found = {"images": images}
  beside = path.with_name(f"{path.name[:-6]}_y.bin")
  if not beside.exists() and splits.kind(path.name[:-6]):
    logging.getLogger(__name__).warning(
      "warning: there is no %s beside %s: its images have no label", beside.name, path
    )
  if beside.exists():
    found["labels"] = np.fromfile(beside, np.uint8).astype(np.int64) - 1
    if (found["labels"] < 0).any():
      raise errors.UserError(
        f"{beside} holds the class 0, and those of STL-10 begin with 1; save the arrays by "
        "numpy.savez(path, images=..., labels=...)"
      )
    names = path.with_name("class_names.txt")
    if names.exists():
      found["label_names"] = np.array(names.read_text().split())
  return found
