"""Encoded images in larger files (tar, Parquet, ArrayRecord) as a source; and their class numbers.

A subclass says how the bytes of an example are read. All decode as a folder does, so that the same
files give the same tensors wherever they lie.
"""

import abc
import copy
import os
import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np
import xxhash

from contrastive_jax import errors, paths, plural, reading
from contrastive_jax.data import Example, images, text_labels
from contrastive_jax.data.labels import first_repeated, number_of_classes

_ODD = np.uint64(0x9E3779B97F4A7C15)  # times a number: far from those of other files


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

  @abc.abstractmethod
  def in_files(self) -> Iterable[tuple[str | os.PathLike, int]]:
    """Returns each file and how many of the images lie in it, in their order."""

  def in_common(self, other: Self) -> int:
    """Returns how many images of `other` are here too: those of the same files."""
    here = {os.path.realpath(file) for file, _ in self.in_files()}
    return int(sum(n for file, n in other.in_files() if os.path.realpath(file) in here))

  def places(self, positions: np.ndarray) -> np.ndarray:
    """Returns a number for the file and place of each image, uint64 [n], by positions, int [n]."""
    files, counts = zip(*self.in_files(), strict=True)
    starts = np.cumsum([0, *counts])
    of = np.searchsorted(starts, positions, side="right") - 1
    names = (os.fsencode(os.path.realpath(file)) for file in files)
    hashes = np.array([xxhash.xxh3_64_intdigest(name) for name in names], np.uint64)
    return hashes[of] + (positions - starts[of]).astype(np.uint64) * _ODD

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
  values: np.ndarray,
  names: Sequence[str],
  what: str,
  names_key: str,
  others: Iterable[text_labels.Found] = (),
) -> tuple[np.ndarray, tuple[str, ...]]:
  """Returns class numbers, int32 [n], and names, from labels as they are written.

  Args:
    values: [n] whole numbers, -1 for none, or texts, "" for none. Texts of digits are numbers.
    names: of all classes, in order; () if nobody says: then texts are numbered over all splits.
    what: has these labels, in errors.
    names_key: of the config, where names are given.
    others: the labels of the other splits, which are asked for where they matter.

  Raises:
    UserError: a number or a text is no class, or another split has numbers and this one texts.
  """
  if values.dtype.kind in text_labels.TEXTS and len(values):
    found, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    texts = [t.decode(errors="replace") if isinstance(t, bytes) else str(t) for t in found]
    known = {name: number for number, name in enumerate(names)}
    numbers = [text_labels.class_of(text, known) for text in texts]
    unknown = [text for text, number in zip(texts, numbers, strict=True) if number is None]
    if unknown and _are_numbers(found):
      numbers = [int(text or -1) for text in texts]
    elif unknown and names:
      shown = next((text for text in unknown if not text.isdecimal()), unknown[0])
      raise errors.UserError(
        f"{what} are texts, and no number is known of {shown!r}: name each class in the file of "
        f"{names_key}, a line each, or leave that unset, or the labels out"
      )
    elif unknown:
      known_only = text_labels.without_none(found)
      names = text_labels.names(
        text_labels.Found(known_only, int(sum(counts[known_only != np.zeros((), found.dtype)]))),
        (_of_texts(other, what, names_key) for other in others if other.images),
        what,
        f"set {names_key} to a file with the names of all classes, a line each",
      )
      by_name = {name: number for number, name in enumerate(names)}
      numbers = [text_labels.class_of(text_labels.text(what, t), by_name) for t in known_only]
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


def _are_numbers(different: np.ndarray) -> bool:
  texts = (t.decode(errors="replace") if isinstance(t, bytes) else str(t) for t in different)
  return all(re.fullmatch(r"-?\d{1,18}|", text) for text in texts)


def _of_texts(other: text_labels.Found, what: str, names_key: str) -> text_labels.Found:
  """Returns the texts of another split. Raises UserError: alone they are numbers, and read so."""
  if other.images and _are_numbers(other.different):
    raise errors.UserError(
      f"{what} are texts, and the labels of another split numbers, such as "
      f"{text_labels.text(what, max(other.different))}: every split must number classes alike; "
      f"give both the same, or set {names_key} to a file with the names of all classes, a line each"
    )
  return other._replace(different=text_labels.without_none(other.different))


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
