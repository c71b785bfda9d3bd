"""Labels that are texts: names of classes, numbered by their order over all splits of a set.

So a class has one number wherever it comes, also one that only some of the splits have.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from contrastive_jax import errors
from contrastive_jax.data import json_lists, list_classes
from contrastive_jax.data.labels import distinct, tell_alike

TEXTS = "US"  # kinds of NumPy's types
_NONE = ("-1", "-1.0")  # as in arrays of numbers


class Found(NamedTuple):
  """The labels of another split."""

  different: np.ndarray  # each label once
  images: int  # that have one


def found(labels: np.ndarray) -> Found:
  """Returns the labels of a split: "" is none, and of numbers what is below 0."""
  is_text = labels.dtype.kind in TEXTS
  known = labels != np.zeros((), labels.dtype) if is_text else labels >= 0
  return Found(np.unique(labels), int(np.count_nonzero(known)))


def without_none(labels: np.ndarray) -> np.ndarray:
  """Returns texts with "" for those that stand for no class: "-1", and "nan" beside numbers."""
  different = np.unique(labels)
  texts = [t.decode(errors="replace") if isinstance(t, bytes) else str(t) for t in different]
  is_none = np.array([text in _NONE for text in texts], bool)
  is_nan = np.array([text.casefold() == "nan" for text in texts], bool)
  others = [t for t, *no in zip(texts, is_none, is_nan, strict=True) if t and not any(no)]
  if others and all(re.fullmatch(r"\d{1,18}(\.0+)?", text) for text in others):  # not naan
    is_none |= is_nan
  return np.where(np.isin(labels, different[is_none]), np.zeros((), labels.dtype), labels)


def names(here: Found, others: Iterable[Found], what: str, instead: str) -> tuple[str, ...]:
  """Returns the names of all classes, in order: numbers by size, all others by their bytes.

  Args:
    here: texts, "" for none.
    others: those of the other splits.
    what: has these labels, in errors.
    instead: says of another way, in errors.

  Raises:
    UserError: another split has numbers, texts are no UTF-8, or there are so many different ones
      that they name images.
  """
  known, images = _texts(what, here.different), here.images
  for other in others:
    if other.different.dtype.kind not in TEXTS:
      raise errors.UserError(
        f"{what} are texts, and the labels of another split are {other.different.dtype}: every "
        f"split must number classes alike; give both the same, or {instead}"
      )
    known |= _texts(what, other.different)
    images += other.images
  distinct(len(known), images, what)
  ordered = list_classes.in_order(known)
  tell_alike(ordered, what)
  list_classes.tell_of_several(ordered, what)
  return ordered


def class_of(label: str, numbers: Mapping[str, int]) -> int | None:
  """Returns the number of a class; -1: the text says none; None: no class is called so.

  "3.0" is 3, and "True" true.
  """
  if not label or label in numbers:
    return numbers[label] if label else -1
  if label in _NONE:
    return -1
  try:
    other = label[:1].isdigit() or label.casefold() in list_classes.BOOLEANS
    return list_classes.class_of(label, numbers) if other else None
  except KeyError:
    return None


def _texts(what: str, labels: np.ndarray) -> set[str]:
  return {text(what, label) for label in labels} - {""}


def text(what: str, label: np.ndarray | np.generic | bytes | str) -> str:
  """Returns a text of an array. Raises UserError: it is bytes and no UTF-8."""
  try:
    return label.decode() if isinstance(label, bytes) else str(label)
  except UnicodeDecodeError as error:
    raise errors.UserError(
      f"{what} holds {json_lists.short(bytes(label))}, which is no UTF-8; save them as texts"
    ) from error
