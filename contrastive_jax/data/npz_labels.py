"""Labels of NumPy files: class numbers, rows of which one number is 1, or texts.

Texts are the names of classes. They are numbered by their order over all splits, so that a class
has one number wherever it comes.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from contrastive_jax import errors
from contrastive_jax.data import text_labels
from contrastive_jax.data.labels import from_one_hot


class Labels(NamedTuple):
  numbers: np.ndarray  # int [n], -1: none
  names: tuple[str, ...]  # of the classes, where the labels say them
  columns: int  # that there are for classes; 0: labels do not say


def read(
  what: str, given: np.ndarray, n: int, names: Sequence[str], others: Iterator[np.ndarray]
) -> Labels:
  """Reads the labels of a split.

  Args:
    what: file and name of the array, in errors.
    given: the array.
    n: images.
    names: of the classes, by which texts are numbered; () if nobody says.
    others: the labels of the other splits, which are asked for where they matter.

  Raises:
    UserError: there is not one label for each image, or it is no class.
  """
  if given.shape == (n, 1):
    given = given[:, 0]
  if given.shape == (n,) and given.dtype.kind in text_labels.TEXTS:
    return _of_texts(what, given, names, others)
  if given.shape == (n,):
    return Labels(_checked(what, given), (), 0)
  if given.ndim != 2 or len(given) != n:
    raise errors.UserError(
      f"{what} has shape {given.shape}, not [{n}], one for each image; reshape it"
    )
  numbers = from_one_hot(given)
  if numbers is None:
    raise errors.UserError(
      f"{what} has shape {given.shape}, and not one 1 beside zeros in each row: an image has one "
      f"class here; give class numbers [{n}], or name another array by data.npz.label, or none"
    )
  for other in others:
    if other.ndim == 2 and other.shape[1] not in (1, given.shape[1]):
      raise errors.UserError(
        f"{what} has {given.shape[1]} columns, and that of another split {other.shape[1]}: every "
        "split must number classes alike; give both the same"
      )
  return Labels(numbers, (), given.shape[1])


def _checked(what: str, labels: np.ndarray) -> np.ndarray:
  if labels.dtype == bool:
    return labels.astype(np.uint8)
  if labels.dtype.kind not in "iu":
    raise errors.UserError(f"{what} is {labels.dtype}, not integer; give class numbers 0, 1, ...")
  return labels


def _of_texts(
  what: str, given: np.ndarray, names: Sequence[str], others: Iterator[np.ndarray]
) -> Labels:
  if not names:
    given = text_labels.without_none(given)
    clean = (
      text_labels.without_none(o) if o.dtype.kind in text_labels.TEXTS else o for o in others
    )
    names = text_labels.names(
      text_labels.found(given),
      map(text_labels.found, clean),
      what,
      "the texts in their order as label_names",
    )
  numbers = {name: number for number, name in enumerate(names)}
  texts = (text_labels.text(what, label) for label in given)
  found = [(label, text_labels.class_of(label, numbers)) for label in texts]
  unknown = next((label for label, number in found if number is None), None)
  if unknown is not None:
    raise errors.UserError(f"{what}: {unknown!r} is not among label_names; name each class")
  return Labels(np.array([number for _, number in found]), tuple(names), len(names))
