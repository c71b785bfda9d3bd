"""Arrays of images as items: each row is read when it is asked for, the labels are read at once.

An array of h5py or zarr lies in files, a mapped one (`numpy.memmap`) does too: as a whole such sets
do not fit into memory.
"""

import math
import mmap
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from contrastive_jax import errors, plural, reading
from contrastive_jax.data import splits
from contrastive_jax.data.labels import from_one_hot

_LIKE_AN_ARRAY = ("__array__", "__getitem__", "shape", "dtype")
_IN_MEMORY = ("__dlpack__", "__array_interface__")  # JAX, PyTorch and others show what they hold
_IMAGE_KEYS = ("images", "image", "x", "X", "data", "pixels")  # of a file, the first that is there
_LABEL_KEYS = ("labels", "label", "y", "Y", "targets", "target")


class Rows:
  """The images of an array, each an item: the image, or (image, label)."""

  def __init__(self, images: Any, name: str, labels: Any = None):
    """Takes an array and reads its first row.

    Args:
      images: [n, ...], also one of h5py or zarr.
      name: how errors call them.
      labels: [n] numbers or texts, likewise, or rows [n, c] of one 1 each; None: there are none.

    Raises:
      UserError: the first row cannot be read, or there are not as many labels.
      ReadFailed: it cannot be read for now.
    """
    self._images, self._count = images, _rows_of(images, name)
    if labels is not None:
      self.targets = _labels(labels, self._count, name)

  def __len__(self) -> int:
    return self._count

  def __getitem__(self, index: int) -> Any:
    image = np.asarray(self._images[index])
    if image.ndim == 1 and image.dtype == np.uint8:  # the content of a file
      image = image.tobytes()
    return (image, self.targets[index]) if hasattr(self, "targets") else image

  def __getstate__(self):
    return {**self.__dict__, "_images": to_send(self._images)}

  def __setstate__(self, state):
    self.__dict__.update({**state, "_images": received(state["_images"])})


def is_elsewhere(thing: Any) -> bool:
  """Returns whether something is an array whose values do not lie in memory, as one of h5py."""
  if isinstance(thing, np.ndarray) or any(_has(thing, name) for name in _IN_MEMORY):
    return False
  return all(_has(thing, name) for name in _LIKE_AN_ARRAY)


def _has(thing: Any, name: str) -> bool:
  """Returns whether there is such an attribute."""
  try:
    return hasattr(thing, name)
  except Exception:  # it is there, of a closed file of h5py: reading says so, in one line
    return True


def paired(thing: Any) -> tuple[Any, Any] | None:
  """Returns images and labels if something is a tuple of both, as arrays; None: it is not.

  Of two arrays of three dimensions each is an image.
  """
  if not (isinstance(thing, tuple) and len(thing) == 2):
    return None
  images, labels = thing
  shape = np.shape(labels) if isinstance(labels, list) else _shape(labels)
  one_each = len(shape) and math.prod(shape[1:]) == 1
  if is_elsewhere(images) or len(_shape(images)) == 4:
    return images, labels
  return (images, labels) if len(_shape(images)) == 3 and one_each else None


def with_labels(thing: Any, name: str) -> Any:
  """Returns (path, label) of each if something is a tuple of paths and labels, else what it is.

  Raises UserError: there are not as many of both.
  """
  if not (isinstance(thing, tuple) and len(thing) == 2 and isinstance(thing[0], list | tuple)):
    return thing
  paths, labels = thing
  if not all(isinstance(path, str | os.PathLike) for path in paths):
    return thing
  return list(zip(paths, _labels(labels, len(paths), name).tolist(), strict=True))


def _shape(thing: Any) -> tuple[int, ...]:
  try:
    return tuple(thing.shape)
  except Exception:  # it has none, or its file is closed
    return ()


def check_no_file(thing: Any, name: str) -> None:
  """Raises `UserError` if something holds arrays by name, as a file of h5py: it says which to give.

  What numbers its items (`{0: image, ...}`) may go on as an object.
  """
  keys = list(thing.keys()) if isinstance(thing, Mapping) or _is_group(thing) else []
  if not keys or not all(isinstance(key, str) for key in keys):
    return
  held = "given" if isinstance(thing, dict) else "file"
  image, label = _columns(keys)
  give = f"{held}[{image or keys[0]!r}]"
  if image and label:
    give += f", or with labels the pair ({held}[{image!r}], {held}[{label!r}])"
  raise errors.UserError(
    f"{name}: a {type(thing).__name__} of {', '.join(keys[:8])}{', ...' if len(keys) > 8 else ''} "
    f"is no array of images; give one of them, such as {give}"
  )


def check_splits(images: Mapping[str, Any], name: str) -> None:
  """Raises `UserError`, see `check_no_file`, if a mapping is a file or a set, and not of splits."""
  if any(splits.kind(str(key)) for key in images):
    return
  if not isinstance(images, dict) or all(_columns(list(images))):
    check_no_file(images, name)


def _columns(keys: list[str]) -> tuple[str | None, str | None]:
  """Returns which of some names are those of images and of labels."""
  usual = (_IMAGE_KEYS, _LABEL_KEYS)
  image, label = (next((key for key in some if key in keys), None) for some in usual)
  return image, label


def _is_group(thing: Any) -> bool:
  """Returns whether something is a group of zarr, which is no `Mapping`."""
  return all(hasattr(thing, name) for name in ("keys", "arrays")) and not is_elsewhere(thing)


def _rows_of(images: Any, name: str) -> int:
  """Returns how many rows there are, of which the first can be read. Raises UserError."""

  def read():
    count = int(images.shape[0])
    if count:
      np.asarray(images[0])
    return count

  try:
    return reading.patiently(f"the first row of {name}", read)
  except (errors.UserError, errors.ReadFailed, MemoryError):
    raise
  except Exception as error:  # whatever another's code raises
    said = " ".join(str(error).split())[:200]
    raise errors.UserError(
      f"{name}: the first image cannot be read ({type(error).__name__}: {said}); keep the file "
      "open that holds them"
    ) from error


def _labels(labels: Any, count: int, name: str) -> np.ndarray:
  found = np.asarray(labels)
  if found.ndim == 2 and len(found) == count:
    columns = from_one_hot(found)
    found = found if columns is None else columns
  if found.size != count:
    raise errors.UserError(
      f"{name}: {plural.of(count, 'image')}, and labels have shape {list(found.shape)}; give one "
      "for each image"
    )
  return found.reshape(count)


class _Mapped(NamedTuple):
  """Where the numbers of an array lie in a file."""

  file: str
  dtype: np.dtype
  offset: int
  shape: tuple[int, ...]


def to_send(array: Any) -> Any:
  """Returns what another process makes the same array of: of a mapped one, where it lies."""
  if not (isinstance(array, np.memmap) and array.flags.c_contiguous and array.size):
    return array
  held = getattr(array, "_mmap", None)
  if held is None or array.filename is None or array.mode == "c":  # changes lie in memory alone
    return array
  begin = array.offset - array.offset % mmap.ALLOCATIONGRANULARITY  # as memmap maps
  inside = array.ctypes.data - np.frombuffer(held, np.uint8).ctypes.data
  return _Mapped(str(array.filename), array.dtype, begin + inside, array.shape)


def received(sent: Any) -> Any:
  """Returns an array that another process has sent by `to_send`."""
  if not isinstance(sent, _Mapped):
    return sent
  return np.memmap(sent.file, sent.dtype, "r", sent.offset, sent.shape)
