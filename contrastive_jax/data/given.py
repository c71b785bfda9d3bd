"""Images that are at hand, as a source: an array, a list of arrays or files, or a folder."""

import copy
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from contrastive_jax import errors, paths
from contrastive_jax.data import Example, folder
from contrastive_jax.data import images as decoding


class Given:
  """Images without labels, in the order in which they were given."""

  num_classes, label_names = 0, ()
  _size_px = _form = None

  def __init__(self, images: Sequence[np.ndarray | str]):
    self.images = images
    self.factors: dict[str, np.ndarray] = {}
    whole = isinstance(images, np.ndarray)
    self.native_size_px = max(images.shape[1:3]) if whole else None

  def __len__(self) -> int:
    return len(self.images)

  def __getitem__(self, index: int) -> Example:
    image = self.images[index]
    if not isinstance(image, np.ndarray):
      image = decoding.read(image, size_px=self._size_px, form=self._form)
    return {"image": image, "label": -1, "index": index}

  def within(self, size_px: int) -> "Given":
    """Returns this source with files shrunk to fit in a square, decoded no larger than needed."""
    source = copy.copy(self)
    source._size_px = size_px
    return source

  def formed(self, form) -> "Given":
    """Returns this source with images in another form than 8-bit RGB, see `pixels`."""
    source = copy.copy(self)
    source._form = form
    return source


def source(images: np.ndarray | str | os.PathLike | Sequence) -> Given:
  """Returns images as a source.

  Args:
    images: uint8 [n, h, w, 3]; a list of files or of arrays uint8 [h, w, 3]; or a folder.

  Raises:
    UserError: there are none, or one is neither a file nor such an array.
  """
  if isinstance(images, str | os.PathLike):
    images = _in_folder(pathlib.Path(paths.local(images, "images")))
  elif not isinstance(images, np.ndarray) and not isinstance(images, Sequence):
    images = np.asarray(images)  # of JAX or another library
  if isinstance(images, np.ndarray):
    if images.ndim != 4:
      raise errors.UserError(f"images have shape {list(images.shape)}; give uint8 [n, h, w, 3]")
    if len(images):
      _check(images[0], "images")
  else:
    images = [_one(image, number) for number, image in enumerate(images)]
  if not len(images):
    raise errors.UserError("there are no images; give an array, a list of files or a folder")
  return Given(images)


def check_all_read(source: Given, index: np.ndarray) -> None:
  """Raises `UserError` naming an image that could not be decoded: `index` is of those that were."""
  missing = sorted(set(range(len(source))) - set(index.tolist()))
  if missing:
    raise errors.UserError(
      f"{len(missing)} of {len(source)} images cannot be read, the first is "
      f"{source.images[missing[0]]}; leave them out"
    )


def _in_folder(path: pathlib.Path) -> list[str]:
  if path.is_file():
    return [str(path)]
  if not path.is_dir():
    raise errors.UserError(f'there is no folder or file "{path}"; give one that holds images')
  found = folder.listed(path)
  if not found:
    suffixes = ", ".join(folder.SUFFIXES)
    raise errors.UserError(f"no image under {path}; it must hold files ending in {suffixes}")
  return [os.path.join(path, name) for name in found]


def _one(image: object, number: int) -> np.ndarray | str:
  if isinstance(image, str | os.PathLike):
    path = paths.local(image, f"image {number}")
    if not os.path.isfile(path):
      raise errors.UserError(f'image {number}: there is no file "{path}"')
    return path
  array = np.asarray(image)
  _check(array, f"image {number}")
  return array


def _check(image: np.ndarray, name: str) -> None:
  """Raises `UserError` unless an array is one image in RGB."""
  if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
    raise errors.UserError(
      f"{name}: {image.dtype} {list(image.shape)} is no RGB image; give uint8 [h, w, 3], 0 to 255"
    )
