"""Images at hand, as a source: an array, a list of arrays or files, a folder, or an object.

An object is anything with `len()` and `[i]`, such as a data set of PyTorch, that gives an image or
(image, label, ...). The config of a run on such images has the source "given", which nothing but
the objects themselves can open.
"""

import contextlib
import copy
import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from contrastive_jax import data, errors, paths, reading
from contrastive_jax.data import (
  Example,
  Unreadable,
  arrays,
  folder,
  item_labels,
  item_pixels,
  list_classes,
  parts,
  pixels,
  several,
)
from contrastive_jax.data import images as decoding
from contrastive_jax.data.identity import digest
from contrastive_jax.options import option

Images = dict[str, data.Source]  # by split


@dataclasses.dataclass(frozen=True)
class Options:
  name: str = option("", "what the objects are, such as pets-2: another name is another set")


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

  def __getstate__(self):  # to worker processes: of a mapped array, where it lies
    return {**self.__dict__, "images": arrays.to_send(self.images)}

  def __setstate__(self, state):
    self.__dict__.update({**state, "images": arrays.received(state["images"])})

  def content(self) -> str:
    """Returns a digest of all pixels of arrays and of all paths."""
    return digest(
      np.ascontiguousarray(image).data if isinstance(image, np.ndarray) else os.fsencode(image)
      for image in self.images
    )

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


class Items:
  """What an object gives, one by one; its labels are known before any image is trained on."""

  _size_px = _form = None

  def __init__(self, items: Any, name: str, with_labels: bool, native_size_px: int | None = None):
    self._items, self._name, self.native_size_px = items, name, native_size_px
    self._looked_at: list[str] = []  # shared with copies of other sizes
    self.factors: dict[str, np.ndarray] = {}
    self.labels, self.label_names, self.num_classes = None, (), 0
    if with_labels:
      self.labels, self.label_names, self.num_classes = item_labels.read(items, name)

  def __len__(self) -> int:
    return len(self._items)

  def content(self) -> str:
    """Returns the type of the object and a digest of its labels: pixels may be drawn anew."""
    kind = type(self._items)
    known = np.full(len(self), -1) if self.labels is None else self.labels
    return f"{kind.__module__}.{kind.__qualname__} {digest([known.astype('<i8').tobytes()])}"

  def __getitem__(self, index: int) -> Example:
    name = f"item {index} of {self._name}"
    try:
      image, _ = item_labels.parted(self._items[int(index)], name)
      if not self._looked_at:
        self._looked_at.append(name)
        item_pixels.tell_of_16_bits(image, name)
      if isinstance(image, str | os.PathLike):
        found = decoding.read(os.fspath(image), size_px=self._size_px, form=self._form)
      elif isinstance(image, bytes):
        found = decoding.decode(image, name, size_px=self._size_px, form=self._form)
      else:
        found = item_pixels.read(image, name, self._form)
    except (Unreadable, errors.UserError, MemoryError):
      raise
    except Exception as error:  # whatever another's code raises
      if reading.may_pass(error):
        raise
      raise Unreadable(f"{name}: {type(error).__name__}: {error}") from error
    label = -1 if self.labels is None else int(self.labels[index])
    return {"image": found, "label": label, "index": index}

  def within(self, size_px: int) -> "Items":
    """Returns this source with files shrunk to fit in a square, decoded no larger than needed."""
    source = copy.copy(self)
    source._size_px = size_px
    return source

  def formed(self, form: pixels.Form) -> "Items":
    """Returns this source with images in another form than 8-bit RGB, if that has a range.

    Without, values of 16 bits run from 0 to 65,535 and floats from 0 to 1: none is looked for. But
    many channels are not made three.
    """
    if not form.value_range and form.channels in (0, 1, 3):
      return self
    source = copy.copy(self)
    source._form = form
    return source


def build(split: str, options: Options) -> data.Source:
  """Raises UserError: a config alone has no objects."""
  return opened(None, split)


def by_split(images: Any, split: str) -> Images:
  """Returns {split: source} of {split: object}, or of one object for `split`. Raises UserError."""
  if not isinstance(images, Mapping):
    images = {parts.parsed(split)[0]: images}
  arrays.check_splits(images, "images")
  sources = {name: source(given, name) for name, given in images.items()}
  named = [s for s in sources.values() if s.label_names]
  names = list_classes.in_order({name for s in named for name in s.label_names})
  for one in named:  # of all splits together, as for folders
    if set(one.label_names) != set(names):
      numbers = {name: number for number, name in enumerate(names)}
      place = [
        *(list_classes.class_of(name, numbers) for name in one.label_names),
        -1,
      ]  # the last: none
      place = np.array(place)
      one.labels, one.label_names, one.num_classes = place[one.labels], names, len(names)
  return sources


def opened(images: Images | None, split: str) -> data.Source:
  """Returns a split, a slice of one, or several, of images that were given. Raises UserError."""
  if not images:
    raise errors.UserError(
      'data.source is "given": these images are objects in Python; give them to train, '
      "evaluate or write_report there, images={'train': ..., 'test': ...}, or name others, "
      "--config.data.source"
    )

  def one(asked: str) -> data.Source:
    name, cut = parts.parsed(asked)
    if name not in images:
      raise errors.NoSplit(
        f"no images were given for split {name!r} but for {', '.join(images)}; give them, "
        f"images={{{name!r}: ...}}, or name another split, data.split or data.eval_split"
      )
    return images[name] if cut is None else parts.sliced(images[name], cut, asked)

  return several.opened(split, one)


def source(images: Any, name: str = "images", with_labels: bool = True) -> Given | Items:
  """Returns images as a source.

  Args:
    images: uint8 [n, h, w, 3]; a list of files or of arrays uint8 [h, w, 3]; a folder; an array
      in files, as of h5py or zarr, whose rows are read when asked for; a pair of an array, or of a
      list of paths, and labels; or any object with `len()` and `[i]`. That gives an image, (image,
      label, ...) or {"image": ..., "label": ...}, the image as uint8 or, in 0..1, float [h, w, 3],
      [h, w], [h, w, 1] or, as in PyTorch, [3, h, w]; as a picture of Pillow, the path or the
      content of a file. So may the rows of any array be.
    name: how errors call them.
    with_labels: whether the labels of an object are wanted, which may take reading all items.

  Raises:
    UserError: there are none, or one is no image.
  """
  if isinstance(images, str | os.PathLike):
    images = _in_folder(pathlib.Path(paths.local(images, name)))
  arrays.check_no_file(images, name)
  images = arrays.with_labels(images, name)
  if pair := arrays.paired(images):
    return _of_rows(*pair, name, with_labels)
  if arrays.is_elsewhere(images):
    return _of_rows(images, None, name, with_labels)
  if not isinstance(images, np.ndarray) and hasattr(images, "__array__"):
    images = np.asarray(images)  # of JAX or another library
  if isinstance(images, np.ndarray):
    if images.ndim == 1 and images.dtype.kind in "UO":  # of paths
      return source(images.tolist(), name, with_labels)
    if images.ndim == 4 and (images.dtype != np.uint8 or images.shape[3] != 3):
      return _of_rows(images, None, name, with_labels)
    if images.ndim != 4:
      raise errors.UserError(f"{name} have shape {list(images.shape)}; give uint8 [n, h, w, 3]")
  elif not (hasattr(images, "__len__") and hasattr(images, "__getitem__")):
    raise errors.UserError(
      f"{name}: {type(images).__name__} has no len() or no [i], and an epoch has an order of its "
      "own; give an array, a list of files, a folder, or an object that has both"
    )
  _check_any(images)
  if isinstance(images, np.ndarray):
    return Given(images)
  if isinstance(images, Sequence) and isinstance(images[0], str | os.PathLike | np.ndarray):
    return Given([_one(image, number) for number, image in enumerate(images)])
  return Items(images, name, with_labels)


def _of_rows(images: Any, labels: Any, name: str, with_labels: bool) -> Items:
  rows = arrays.Rows(images, name, labels if with_labels else None)
  _check_any(rows)
  with contextlib.suppress(Unreadable):
    sides = (images.shape[1], images.shape[3]) if len(images.shape) == 4 else (3, 3)
    channels = 3 if {1, 3} & set(sides) else min(sides)
    some_range = pixels.Form(channels, value_range=(0, 1))  # those of the run are not known yet
    first = Items(rows, name, False).formed(some_range)[0]["image"]
    side = max(first.shape[:2]) if len(images.shape) > 1 else None
    return Items(rows, name, with_labels, side)
  return Items(rows, name, with_labels)


def _check_any(images: Any) -> None:
  if not len(images):
    raise errors.UserError("there are no images; give an array, a list of files or a folder")


def check_all_read(source: Given | Items, index: np.ndarray) -> None:
  """Raises `UserError` naming an image that could not be decoded: `index` is of those that were."""
  missing = sorted(set(range(len(source))) - set(index.tolist()))
  if missing:
    first = source.images[missing[0]] if isinstance(source, Given) else f"item {missing[0]}"
    raise errors.UserError(
      f"{len(missing)} of {len(source)} images cannot be read, the first is {first}; leave them out"
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
