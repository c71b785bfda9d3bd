"""Arrays in the files of sets that are downloaded in a form of their own: STL-10 and SVHN."""

import logging
import pathlib

import numpy as np

from contrastive_jax import errors, slow
from contrastive_jax.data import set_files, splits

SUFFIXES = ("_x.bin", ".mat")  # in small letters
_STL_SHAPE = (-1, 3, 96, 96)  # of images, each of their channels column by column
_ZIP = b"PK"
_ZERO = 10  # the class of the digit 0 in SVHN


def read(path: pathlib.Path) -> dict[str, np.ndarray] | None:
  """Returns `images` [n, h, w, 3] and, if known, `labels` [n] and `label_names`.

  None: it is a file of NumPy.

  Raises:
    UserError: it is no such file, or has no label for each image.
  """
  if not path.name.lower().endswith(SUFFIXES):
    return None
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
  content = np.fromfile(path, np.uint8)
  size = np.prod(_STL_SHAPE[1:])
  if not len(content) or len(content) % size:
    raise errors.UserError(
      f"{path} has {len(content):,} bytes, and an image of STL-10 {size:,}; copy the file again"
    )
  found = {"images": np.ascontiguousarray(content.reshape(_STL_SHAPE).transpose(0, 3, 2, 1))}
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
