"""Classes as lists write them, in words or numbers: which are one, and in which order they are."""

import logging
import re
from collections.abc import Iterable, Sequence

from contrastive_jax.data.labels import distinct, tell_alike

_AROUND = " []()'\""  # the labels of a list that is written as text
BOOLEANS = frozenset({"true", "false"})
# Beside numbers no label, as R, pandas, SQL and Python write it; "none" may be a class.
NOT_KNOWN = frozenset({"NA", "N/A", "<NA>", "null", "NULL", "None"})


def classes(labels: Sequence[str], what: str) -> tuple[str, ...]:
  """Returns the names of the classes, in order: numbers by size, all others by their bytes.

  Raises:
    UserError: each image has a label of its own, which names images and no classes.
  """
  given = [label for label in labels if label]
  names = set(given)
  distinct(len(names), len(given), what)
  found = in_order(names)
  tell_alike(found, what)
  tell_of_several(found, what)
  return found


def tell_of_several(names: Iterable[str], what: str) -> None:
  """Says of the first label that joins others, "cat|dog": it is a class of its own."""
  bare = {name.strip(_AROUND): name for name in names}
  for name in bare.values():
    parts = [part.strip(_AROUND) for part in re.split(r"[|;,]", name)]
    if len(parts) > 1 and all(part in bare for part in parts):
      logging.getLogger(__name__).warning(
        "warning: %s: %r joins labels that others have alone, such as %r, and is a class of its "
        "own: leave each image one label, or take another column, or none",
        *(what, name, bare[parts[0]]),
      )
      return


def in_order(names: set[str]) -> tuple[str, ...]:
  """Returns the names of classes in their order, numbers and booleans in one spelling."""
  if are_booleans_apart(names):
    return tuple(sorted({name.casefold() for name in names}))
  if all(number(name) is not None for name in names):
    return tuple(sorted({str(number(name)) for name in names}, key=int))
  return tuple(sorted(names, key=lambda name: name.encode("utf-8", "surrogateescape")))


def class_of(label: str, numbers: dict[str, int]) -> int:
  """Returns the number of a label's class; -1: none.

  "3.0", as tables write it, is 3, and "True" is true where that is how both are called.
  """
  if not label:
    return -1
  found = numbers.get(label)
  if found is None and label.casefold() in BOOLEANS:
    found = numbers.get(label.casefold())
  return numbers[str(number(label))] if found is None else found


def number(text: str) -> int | None:
  """Returns the number that a label is; None: it is none. "3.0" is 3."""
  match = re.fullmatch(r"(\d{1,18})(\.0+)?", text)
  return int(match[1]) if match else None


def are_booleans_apart(labels: set[str]) -> bool:
  """Returns whether labels are true and false alone, and one of these is spelt in several ways."""
  words = {label.casefold() for label in labels}
  return words <= BOOLEANS and len(words) < len(labels)
