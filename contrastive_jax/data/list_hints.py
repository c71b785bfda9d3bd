"""Which of several lists beside images can label them: it names them, and has their classes."""

import contextlib
from collections.abc import Collection
from typing import Any, NamedTuple

from contrastive_jax import errors
from contrastive_jax.data import named, rows
from contrastive_jax.data.listing import Listing
from contrastive_jax.data.splits import Tree

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")  # what else is a text may be a page to read
_LARGEST = 50_000_000  # bytes of a list that is looked into
_NOT_KNOWN = 2  # rank of one that cannot be read, or is large


class Fit(NamedTuple):
  """A list that may label some images, and its column of labels, if that is known."""

  file: str
  column: str = ""


def of_images(
  place: Any, tree: Tree, paths: Listing, prefix: str, classes: Collection[str] = ()
) -> list[Fit]:
  """Returns the lists in a folder that may label images: first those with a column of labels.

  One that names none of the images is left out; one that cannot be read, or is large, comes last,
  or is left out too where classes are known.

  Args:
    place: the folder.
    tree: in which it lies.
    paths: of the images.
    prefix: of these paths in that folder.
    classes: of the images of other splits: then a column of labels is one of these.
  """
  names = [name for name in tree.files(place) if name.lower().endswith(SUFFIXES)]
  found: list[tuple[int, Fit]] = []
  for name, size in zip(names, tree.measured(place, names)[0].tolist(), strict=True):
    fit = None if classes else (_NOT_KNOWN, Fit(name))
    if size <= _LARGEST:
      with contextlib.suppress(errors.UserError):
        fit = _fit(name, tree.content(place / name), tree, paths, prefix, classes)
    if fit:
      found.append(fit)
  return [fit for _, fit in sorted(found, key=lambda one: one[0])]


def _fit(
  name: str,
  content: bytes,
  tree: Tree,
  paths: Listing,
  prefix: str,
  classes: Collection[str],
) -> tuple[int, Fit] | None:
  """Returns the rank of a list and what it is; None: it names no image. Raises UserError."""

  def labels(column: str) -> list[rows.Row | None] | None:
    columns = rows.Columns(label=column, split=rows.NONE)
    read = rows.parsed(content, name, columns, "data.table", tree.suffixes)
    return named.matched(read, paths, prefix, name)

  if labels(rows.NONE) is None:
    return None
  for column in rows.columns_of_labels(content, name, tree.suffixes, any_name=bool(classes)):
    found = {row.label for row in labels(column) or () if row is not None and row.label}
    if len(found) > 1 and (not classes or _as_numbers(found) <= _as_numbers(classes)):
      return 0, Fit(name, column)
  return 1, Fit(name)


def _as_numbers(names: Collection[str]) -> set[str | int]:
  """Returns names; numbers whatever zeros they begin with."""
  return {int(name) if name.isascii() and name.isdecimal() else name for name in names}
