"""Which of several lists beside images can label them: it names them, and has their classes."""

import contextlib
from collections.abc import Collection
from typing import Any, NamedTuple

from contrastive_jax import errors
from contrastive_jax.data import list_columns, named, rows
from contrastive_jax.data.listing import Listing
from contrastive_jax.data.splits import Tree

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")  # what else is a text may be a page to read
_MOST_LISTS = 16  # that are looked into: there may be one for each image
_LARGEST = 50_000_000  # bytes of a list that is looked into
_MOST_PATHS = 5_000_000  # bytes of the paths of images, all of which are searched for each line
_LOOKED_AT = 64  # lines of a list, at equal distances
_LABELS, _NO_LABELS, _NOT_KNOWN, _NONE = range(4)  # of the images that it names: ranks of lists


class Fit(NamedTuple):
  """A list that may label some images, and its column of labels, if that is known."""

  file: str
  column: str = ""


def of_images(
  place: Any, tree: Tree, paths: Listing, prefix: str, classes: Collection[str] = ()
) -> list[Fit]:
  """Returns the lists in a folder that may label images: first those with a column of labels.

  One that names none of the images is left out. One of which that is not known, since it cannot be
  read or is looked at in part, comes last, or is left out too where classes are known.

  Args:
    place: the folder.
    tree: in which it lies.
    paths: of the images.
    prefix: of these paths in that folder.
    classes: of the images of other splits: then a column of labels is one of these.
  """
  names = [name for name in tree.files(place) if name.lower().endswith(SUFFIXES)]
  if not names:
    return []
  are_few = paths.names.nbytes <= _MOST_PATHS
  there = b"\0%b\0" % _in_one_form(paths.names.tobytes()) if are_few else b""
  found: list[tuple[int, Fit]] = []
  sizes = tree.measured(place, names)[0].tolist()
  for number, (name, size) in enumerate(zip(names, sizes, strict=True)):
    rank, fit = _NOT_KNOWN, Fit(name)
    if there and size <= _LARGEST and number < _MOST_LISTS:
      # It may be another's, and is asked for by nobody.
      with contextlib.suppress(errors.UserError, errors.ReadFailed, OSError):
        rank, fit = _fit(name, tree.content(place / name), tree.suffixes, there, prefix, classes)
    if rank < (_NOT_KNOWN if classes else _NONE):
      found.append((rank, fit))
  return [fit for _, fit in sorted(found, key=lambda one: one[0])]


def _some_lines(content: bytes) -> bytes:
  """Returns a list of a few lines; the first two are that of the separator, and of the columns."""
  lines = content.splitlines(keepends=True)
  return b"".join(lines[:2] + lines[2 :: max(1, len(lines) // _LOOKED_AT)])


def _fit(
  name: str,
  content: bytes,
  suffixes: tuple[str, ...],
  there: bytes,
  prefix: str,
  classes: Collection[str],
) -> tuple[int, Fit]:
  """Returns the rank of a list and what it is. Raises UserError: it cannot be read."""
  some = _some_lines(content)

  def read(column: str) -> list[rows.Row]:
    columns = list_columns.Columns(label=column, split=list_columns.NONE)
    return rows.parsed(some, name, columns, "data.table", suffixes)

  names = [row.name for row in read(list_columns.NONE)]
  is_here = [_is_called_so(named.removeprefix(prefix), there) for named in names]
  if not any(is_here):
    is_whole = some == content and any(names)  # else it may be of labels in the order of names
    return (_NONE if is_whole else _NOT_KNOWN), Fit(name)
  for any_name in (False, True) if classes else (False,):
    found = {}
    for column in rows.columns_of_labels(some, name, suffixes, any_name):
      labels = {row.label for row, here in zip(read(column), is_here, strict=True) if here} - {""}
      if len(labels) > 1 and (not classes or _as_numbers(labels) <= _as_numbers(classes)):
        found[column] = len(labels)
    if found:  # numbers of pixels may be those of classes, too, but not of as many
      return _LABELS, Fit(name, max(found, key=found.get))
  return _NO_LABELS, Fit(name)


def _is_called_so(name: str, there: bytes) -> bool:
  """Returns whether a path ends so, or does without its suffix; each stands between zeros."""
  encoded = _in_one_form(name.encode("utf-8", "surrogatepass"))
  return any(
    before + encoded + after in there for before in (b"\0", b"/") for after in (b"\0", b".")
  )


def _in_one_form(names: bytes) -> bytes:
  """Returns names with one encoding of letters with accents, see `named.in_one_form`."""
  if names.isascii():
    return names
  return named.in_one_form(names.decode(errors="surrogateescape")).encode(errors="surrogateescape")


def _as_numbers(names: Collection[str]) -> set[str]:
  """Returns names; numbers without the zeros that they begin with."""
  return {(n.lstrip("0") or "0") if n.isascii() and n.isdecimal() else n for n in names}
