"""Encoded images in larger files (tar, Parquet, ArrayRecord) as a source; and their class numbers.

A subclass says how the bytes of an example are read. All decode as a folder does, so that the same
files give the same tensors wherever they lie.
"""

import abc
import copy
import pathlib
import re
from collections.abc import Sequence
from typing import Self

import numpy as np

from contrastive_jax import errors, paths, plural, reading
from contrastive_jax.data import Example, images
from contrastive_jax.data.labels import first_repeated, number_of_classes


class Encoded(abc.ABC):
  """Examples whose labels are known and whose images are decoded when asked for."""

  native_size_px = None
  _size_px = _form = None

  def __init__(self, labels: np.ndarray, names: Sequence[str], max_megapixels: int):
    """Holds labels, int [n] (-1: none), and the names of classes, () if they have none.

    Raises:
      UserError: a label is no class.
    """
    self.labels, self.label_names = labels, tuple(names)
    self.num_classes = len(self.label_names)
    if not self.num_classes and len(labels):
      self.num_classes = number_of_classes(labels, "labels")
    self.factors: dict[str, np.ndarray] = {}
    self._max_megapixels = max_megapixels

  def __len__(self) -> int:
    return len(self.labels)

  def __getitem__(self, index: int) -> Example:
    encoded, name = self.encoded(index)
    image = images.decode(encoded, name, self._max_megapixels, self._size_px, self._form)
    return {"image": image, "label": int(self.labels[index]), "index": index}

  @abc.abstractmethod
  def encoded(self, index: int) -> tuple[bytes, str]:
    """Returns an image as it is stored, and what messages call it.

    Raises:
      Unreadable: there is none.
      OSError: the system could not read it.
    """

  def within(self, size_px: int) -> Self:
    """Returns this source with images shrunk to fit in a square, decoded no larger than needed."""
    source = copy.copy(self)
    source._size_px = size_px
    return source

  def formed(self, form) -> Self:
    """Returns this source with images in another form than 8-bit RGB, see `pixels`."""
    source = copy.copy(self)
    source._form = form
    return source


def class_numbers(
  values: np.ndarray, names: Sequence[str], what: str, names_key: str
) -> tuple[np.ndarray, tuple[str, ...]]:
  """Returns class numbers, int32 [n], and names, from labels as they are written.

  Args:
    values: [n] whole numbers, -1 for none, or texts, "" for none. Texts of digits are numbers.
    names: of all classes, in order; () if nobody says.
    what: has these labels, in errors.
    names_key: of the config, where names are given.

  Raises:
    UserError: a number is no class; a text has no number since nobody says in which order the
      classes are, and the splits of a set must agree about it.
  """
  if values.dtype.kind in "US" and len(values):
    found, inverse = np.unique(values, return_inverse=True)
    texts = [t.decode(errors="replace") if isinstance(t, bytes) else str(t) for t in found]
    known = {name: number for number, name in enumerate(names)} | {"": -1}
    if all(text in known for text in texts):
      numbers = [known[text] for text in texts]
    elif all(re.fullmatch(r"-?\d{1,18}|", text) for text in texts):
      numbers = [int(text or -1) for text in texts]
    else:
      shown = next(text for text in texts if text not in known and not text.isdecimal())
      raise errors.UserError(
        f"{what} are texts, and no number is known of {shown!r}: all splits must number classes "
        f"alike; set {names_key} to a file with the names of all classes, a line each, or leave "
        "labels out"
      )
    values = np.array(numbers)[inverse]
  if len(values):
    count = number_of_classes(values, what)
    if names and count > len(names):
      raise errors.UserError(
        f"{what} go up to {count - 1}, and there are names for "
        f"{plural.of(len(names), 'class', 'classes')}; name each"
      )
    if not count:
      names = ()
  return values.astype(np.int32), tuple(names)


def read_names(given: str, key: str) -> tuple[str, ...]:
  """Returns the lines of a file with the names of classes; () where none is given.

  Raises:
    UserError: there is no such file, it is no text, or a name comes twice.
  """
  if not given:
    return ()
  path = pathlib.Path(paths.local(given, key))
  content = reading.content(path)
  if content is None:
    raise errors.Absent(f'no file "{given}"; set {key} to a file of class names, a line each')
  try:
    names = tuple(line.strip() for line in content.decode("utf-8-sig").splitlines() if line.strip())
  except UnicodeDecodeError as error:
    raise errors.UserError(
      f"{path} is no text in UTF-8 ({error}); {key} is a line a class"
    ) from error
  if not names:
    raise errors.UserError(f"{path} names no class; {key} is a file with a line a class")
  if (twice := first_repeated(names)) is not None:
    raise errors.UserError(f"{path} names {twice!r} twice; give each class a name of its own")
  return names
