"""Class numbers, told from numbers that only name things; names that are given twice.

Imports: errors.
"""

import collections
import logging
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

from contrastive_jax import errors, plural

_MOST_OF_FEW = 2**15  # classes that a set of fewer images may have, as a part of a large one
_MOST_OF_FEW_NAMED = 1_000  # classes of names, likewise: fewer than two images each tell nothing


def number_of_classes(labels: np.ndarray, what: str) -> int:
  """Returns the largest class number + 1; -1 means no class.

  Args:
    labels: int [n].
    what: how a message calls them.

  Raises:
    UserError: they are negative, or identifiers: a probe would need a column for each number.
  """
  least, most = int(labels.min()), int(labels.max())
  if least < -1:
    raise errors.UserError(f"{what} goes down to {least}; classes start at 0, -1 means none")
  if most >= max(len(labels), _MOST_OF_FEW):
    raise errors.UserError(
      f"{what} goes up to {most} for {plural.of(len(labels), 'image')} "
      f"({plural.of(len(np.unique(labels)), 'different value')}): these are identifiers, no class "
      "numbers 0, 1, ...; number the classes, e.g. by "
      "numpy.unique(labels, return_inverse=True)[1], or leave the labels out"
    )
  return most + 1


def from_one_hot(rows: np.ndarray) -> np.ndarray | None:
  """Returns the columns in which rows [n, c] have their 1, int64 [n]; None: they are no such rows.

  Each has one 1 and zeros besides, and there are two columns or more.
  """
  if rows.ndim != 2 or rows.shape[1] < 2 or rows.dtype.kind not in "biuf":
    return None
  ones = rows == 1
  if not (ones.sum(1) == 1).all() or not (ones | (rows == 0)).all():
    return None
  return ones.argmax(1)


def distinct(count: int, images: int, what: str) -> None:
  """Raises `UserError` if so many images have labels of so many kinds that these name no classes.

  Args:
    count: of different labels.
    images: that have one.
    what: how a message calls them.
  """
  if count > max(images // 2, _MOST_OF_FEW_NAMED):
    raise errors.UserError(
      f"{what} has {count:,} different values for {images:,} images: these name images, no "
      "classes; take another column, or none"
    )


def tell_alike(names: Iterable[str], what: str) -> None:
  """Says of the first two names that look alike: they are two classes."""
  known: dict[str, str] = {}
  for name in names:
    alike = " ".join(unicodedata.normalize("NFKC", name).split()).casefold()
    alike = (alike.lstrip("0") or "0") if alike.isdecimal() else alike
    first = known.setdefault(alike, name)
    if first != name:
      capitals = first.casefold() == name.casefold()
      by = "capitals alone" if capitals else "blanks or in how letters are encoded"
      if len(first) != len(name) and first.isdecimal() and name.isdecimal():
        by = "zeros in front"
      logging.getLogger(__name__).warning(
        "warning: %s: %s and %s differ in %s and are two classes; if they are one, give both one "
        "name",
        what,
        *(map(repr, (first, name)) if capitals else map(ascii, (first, name))),
        by,
      )
      return


def tell_of_one_class(known: np.ndarray, names: Sequence[str], images: str) -> None:
  """Says if all images that vote are of one class: any features score alike on them.

  Args:
    known: the class numbers that come.
    names: of the classes; () if they have none.
    images: how the line calls them.
  """
  if len(known) != 1:
    return
  only = names[known[0]] if known[0] < len(names) else known[0]
  logging.getLogger(__name__).warning(
    "warning: all images of %s are of one class (%s): every vote is for it, and scores tell "
    "nothing of the features; take images of several classes",
    *(images, only),
  )


def first_repeated(names: Iterable[str]) -> str | None:
  """Returns the first name that comes more than once; None: each comes once."""
  return next((name for name, count in collections.Counter(names).items() if count > 1), None)
