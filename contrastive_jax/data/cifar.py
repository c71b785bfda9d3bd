"""CIFAR-10 and CIFAR-100 as they are downloaded: pickles of Python, or the binary version.

A pickle can call whatever it names; here it is read without that (`numpy_pickle`).
"""

import pathlib
from typing import NamedTuple

import numpy as np

from contrastive_jax import errors, numpy_pickle

_SIDE = 32  # pixels
_PIXELS = 3 * _SIDE * _SIDE  # red, green, blue, each line by line


class Form(NamedTuple):
  """How a set lies in a folder.

  Attributes:
    train, test: names of files.
    names: what holds the names of classes; binary: one file for each kind of labels.
    labels: keys of labels, the finest first; binary: as many bytes before each image, this last.
  """

  train: tuple[str, ...]
  test: str
  names: tuple[str, ...]
  labels: tuple[str, ...]

  @property
  def binary(self) -> bool:
    return self.test.endswith(".bin")


FORMS = (
  Form(tuple(f"data_batch_{n}" for n in range(1, 6)), "test_batch", ("batches.meta",), ("labels",)),
  Form(("train",), "test", ("meta",), ("fine_labels", "coarse_labels")),
  Form(
    tuple(f"data_batch_{n}.bin" for n in range(1, 6)),
    "test_batch.bin",
    ("batches.meta.txt",),
    ("labels",),
  ),
  Form(
    ("train.bin",),
    "test.bin",
    ("fine_label_names.txt", "coarse_label_names.txt"),
    ("fine_labels", "coarse_labels"),
  ),
)


def form(folder: pathlib.Path) -> Form | None:
  """Returns how a folder holds such a set; None: it holds none."""

  def is_there(one: Form) -> bool:
    """Other things, too, are called meta, beside folders train and test."""
    has_images = any((folder / name).is_file() for name in (*one.train, one.test))
    return (folder / one.names[0]).is_file() and has_images

  return next(filter(is_there, FORMS), None)


def read(folder: pathlib.Path, one: Form, split: str, label: str = "") -> dict[str, np.ndarray]:
  """Returns `images` uint8 [n, 32, 32, 3], `labels` [n], `label_names`, and other labels [n].

  Args:
    folder: of the set.
    one: how it lies there.
    split: "train" or "test".
    label: that is asked for, "coarse_labels": then `label_names` are of these, and all labels are
      called as CIFAR-100 calls them; any other: the finest, as `labels`.

  Raises:
    UserError: a file is not there, is damaged, or is no such file.
  """
  files = one.train if split == "train" else (one.test,)
  each = [(_of_bytes if one.binary else _of_pickle)(folder / name, one) for name in files]
  pixels, *labels = (np.concatenate(arrays) for arrays in zip(*each, strict=True))
  images = pixels.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
  kind = one.labels.index(label) if label in one.labels else 0
  names = _names(folder, one, kind)
  if (most := int(labels[kind].max())) >= len(names):
    raise errors.UserError(
      f"{folder}: {one.labels[kind]} go up to {most}, and there are {len(names)} names of classes; "
      "copy the set again"
    )
  keys = one.labels if label in one.labels else ("labels", *one.labels[1:])
  found = {"images": np.ascontiguousarray(images), "label_names": names}
  return found | dict(zip(keys, labels, strict=True))


def _of_bytes(path: pathlib.Path, one: Form) -> list[np.ndarray]:
  """Returns pixels [n, 3072], and labels of each kind, the finest first."""
  content, begin = _content(path), len(one.labels)
  if not content or len(content) % (begin + _PIXELS):
    raise errors.UserError(
      f"{path} has {len(content):,} bytes, and an image of CIFAR {begin + _PIXELS:,}; copy the set "
      "again"
    )
  each = np.frombuffer(content, np.uint8).reshape(-1, begin + _PIXELS)
  return [each[:, begin:], *(each[:, n].astype(np.int64) for n in reversed(range(begin)))]


def _of_pickle(path: pathlib.Path, one: Form) -> list[np.ndarray]:
  found = _unpickled(path)
  try:
    pixels = np.asarray(found["data"])
    labels = [np.array(found[key], np.int64) for key in one.labels]
    if pixels.dtype != np.uint8 or pixels.shape[1:] != (_PIXELS,) or not len(pixels):
      raise ValueError(f"data is {pixels.dtype} {list(pixels.shape)}")
    if any(some.shape != (len(pixels),) or some.min() < 0 for some in labels):
      raise ValueError("there is no label for each image")
  except (LookupError, TypeError, ValueError, OverflowError) as error:
    raise errors.UserError(
      f"{path} is no batch of CIFAR ({type(error).__name__}: {error}); copy the set again"
    ) from error
  return [pixels, *labels]


def _names(folder: pathlib.Path, one: Form, kind: int) -> np.ndarray:
  """Returns the names of classes of one kind of labels."""
  path = folder / one.names[kind if one.binary else 0]
  if one.binary:
    found = _content(path).decode("utf-8", "replace").split()
  else:
    key = one.labels[kind].removesuffix("s") + "_names"
    read = _unpickled(path)
    found = read.get(key) if isinstance(read, dict) else None
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
      raise errors.UserError(f"{path} has no {key}; copy the set again")
  return np.array(found)


def _unpickled(path: pathlib.Path):
  try:
    with path.open("rb") as file:
      return numpy_pickle.load(file, encoding="latin1")
  except FileNotFoundError as error:
    raise _gone(path) from error
  except Exception as error:  # damaged pickles raise almost anything
    if isinstance(error, OSError | MemoryError):
      raise
    refused = isinstance(error, numpy_pickle.Refused)
    what = "a pickle that calls" if refused else "no whole pickle: "
    raise errors.UserError(
      f"{path} is {what} {error}; CIFAR's hold arrays and lists alone: copy the set again"
    ) from error


def _content(path: pathlib.Path) -> bytes:
  try:
    return path.read_bytes()
  except FileNotFoundError as error:
    raise _gone(path) from error


def _gone(path: pathlib.Path) -> errors.UserError:
  return errors.UserError(
    f"there is no {path}, and others of its set are there; copy the set again"
  )
