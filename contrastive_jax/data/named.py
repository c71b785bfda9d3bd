"""Images that a list names: which files there are, of which split and class.

For lists of a user's own (source `table`) and those of sets that are known as they are downloaded.
"""

import functools
import logging
import os
import posixpath
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from contrastive_jax import errors, plural
from contrastive_jax.data import list_classes, listing, rows, splits
from contrastive_jax.data.listing import Listing
from contrastive_jax.data.rows import Row
from contrastive_jax.data.splits import Tree


def _in_forms(of_folder: str, of_file: str, name: str) -> str:
  """Returns a path whose letters with accents are encoded so in folders, and so in its last name.

  A folder that was made on one system may hold files that were packed on another.
  """
  above, slash, file = name.rpartition("/")
  form = unicodedata.normalize
  return f"{form(of_folder, above)}{slash}{form(of_file, file)}"


_SHOWN = 3  # files that are not there
# Of names that are not there: joined on Windows to a path of another system, or written where
# letters with accents are encoded as one (NFC), or as several (NFD, on macOS).
_OTHER_FORMS = (
  lambda name: posixpath.normpath(name.replace("\\", "/")),
  functools.partial(_in_forms, "NFC", "NFC"),
  functools.partial(_in_forms, "NFD", "NFD"),
  functools.partial(_in_forms, "NFC", "NFD"),
  functools.partial(_in_forms, "NFD", "NFC"),
)


def read(
  root: Any,
  named: Sequence[Row],
  split: str,
  tree: Tree,
  file: str,
  skip_missing: bool = False,
  without: str = "leave out these lines",
  without_all: str = "",
) -> tuple[Any, Listing, np.ndarray, tuple[str, ...]]:
  """Returns the images of a split: root, files in the order of their names, labels, class names.

  Args:
    root: below which the names are.
    named: all rows of the list, or lists: classes are numbered over all of them.
    split: that is asked for; rows without a split are all of "train".
    tree: in which the files lie.
    file: how an error calls the list.
    skip_missing: whether files that are not there are left out, with a line.
    without: the remedy where some are not there.
    without_all: where none is; "": the list is a user's own.

  Raises:
    UserError: there is no such split, files are not there, or labels name no classes.
  """
  by_name = rows.by_name(named, file)
  names = list_classes.classes([row.label for row in by_name.values()], f"{file}: the label")
  numbers = {name: number for number, name in enumerate(names)}
  chosen = of_split(list(by_name.values()), split)
  if not chosen:
    known = sorted({row.split or "train" for row in by_name.values()})
    raise errors.NoSplit(
      f"{file} names no image of split {split!r} but of {', '.join(known)}; name another split "
      "(--config.data.split, --config.data.eval_split), or hold out a part as split test, holdout "
      "of the source"
    )
  without_split = [row for row in by_name.values() if not row.split]
  if 0 < len(without_split) < len(by_name):
    of_all = f"of the {len(by_name):,} lines of {file}"
    logging.getLogger(__name__).warning(
      "warning: %s no split beside others that do (line %d%s of split train",
      plural.of(len(without_split), f"{of_all} names", f"{of_all} name"),
      without_split[0].line,
      "): this image is" if len(without_split) == 1 else ", ...): these images are",
    )
  sizes, times = tree.measured(root, [row.name for row in chosen])
  for other in _OTHER_FORMS:
    forms = [
      other(row.name) if size == listing.GONE else row.name
      for row, size in zip(chosen, sizes.tolist(), strict=True)
    ]
    if all(form == row.name for form, row in zip(forms, chosen, strict=True)):
      continue
    there = tree.measured(root, forms)[0] != listing.GONE
    chosen = [
      row._replace(name=form) if is_there else row
      for row, form, is_there in zip(chosen, forms, there.tolist(), strict=True)
    ]
    by_name = rows.by_name(chosen, file)
    chosen = list(by_name.values())
    sizes, times = tree.measured(root, [row.name for row in chosen])
  gone = [row for row, size in zip(chosen, sizes.tolist(), strict=True) if size == listing.GONE]
  if gone:
    first = "; ".join(f"line {row.line}: {row.name}" for row in gone[:_SHOWN])
    of_all = f"of the {plural.of(len(chosen), 'image')} that {file} names"
    said = (
      f"{plural.of(len(gone), f'{of_all} is', f'{of_all} are')} not below {root} ({first}"
      f"{'; ...' if len(gone) > _SHOWN else ''})"
    )
    if len(gone) == len(chosen):
      suffixes = any(name.lower().endswith(tree.suffixes) for name in (row.name for row in gone))
      other = f", or read the folder with it (data.source=folder, data.folder.labels={file})"
      place = f"set the folder that their names begin in{'' if suffixes else other}"
      raise errors.Absent(f"{said}; {without_all or place}")
    if not skip_missing:
      raise errors.UserError(f"{said}; {without}")
    logging.getLogger(__name__).warning("warning: %s: left out", said)
  found = [
    (os.fsencode(row.name), size, time)
    for row, size, time in zip(chosen, sizes.tolist(), times.tolist(), strict=True)
    if size != listing.GONE
  ]
  paths = listing.of(found)
  labels = [list_classes.class_of(by_name[path].label, numbers) for path in paths]
  known = any(label >= 0 for label in labels)
  return root, paths, np.array(labels, np.int32), names if known else ()


def of_split(named: Sequence[Row], split: str) -> list[Row]:
  """Returns the rows of a split, however it is written; "trn" and "tst" only if nothing else is."""

  def is_of(row: Row) -> bool:
    given = row.split or "train"
    return given == split or bool(splits.kind(split)) and splits.kind(given) == splits.kind(split)

  found = [row for row in named if is_of(row)]
  return found or [row for row in named if splits.is_short_for(row.split, split)]


def in_one_form(name: str) -> str:
  """Returns a name in one encoding of letters with accents: systems differ (NFC, NFD)."""
  return name if name.isascii() else unicodedata.normalize("NFC", name)


def matched(
  named: Sequence[Row], paths: Listing, prefix: str, file: str
) -> list[Row | None] | None:
  """Returns the row of each file of a listing, None where it has none; None: none has.

  A list may name its images by their paths in the set, in the split, or by their file names, each
  with or without the suffix: that is taken by which most are found.

  Args:
    named: rows; of a list without names, one for each file, in their order.
    paths: of the split.
    prefix: of these paths in the set, e.g. "train/".
    file: how an error calls the list.
  """
  return by_way(named, paths, prefix, file)[0]


def by_way(
  named: Sequence[Row], paths: Listing, prefix: str, file: str
) -> tuple[list[Row | None] | None, Callable[[str], str] | None]:
  """Returns `matched`, and what makes a path the name of a list; None: names are whole paths."""
  if named and not any(row.name for row in named):
    if len(named) != len(paths):
      raise errors.UserError(
        f"{file} has {plural.of(len(named), 'line')} for {plural.of(len(paths), 'image')}: it must "
        "have a label for each, in the order of their names"
      )
    return list(named), None
  by_name = rows.by_name(named, file)
  by_form: dict[str, Row] = {}
  for name, row in by_name.items():
    if not name.isascii():
      by_form.setdefault(in_one_form(name), row)

  def row_of(name: str) -> Row | None:
    found = by_name.get(name)
    if found is None and by_form and not name.isascii():
      found = by_form.get(in_one_form(name))
    return found

  known = list(paths)
  best, most, by = None, 0, None
  for is_whole, way in (
    (True, lambda path: prefix + path),
    (not prefix, lambda path: path),
    (False, os.path.basename),
    (True, lambda path: os.path.splitext(prefix + path)[0]),
    (not prefix, lambda path: os.path.splitext(path)[0]),
    (False, lambda path: os.path.splitext(os.path.basename(path))[0]),
  ):
    found = [row_of(way(path)) for path in known]
    count = sum(row is not None for row in found)
    if count > most:
      best, most, by = found, count, None if is_whole else way
    if most == len(known):
      break
  return best, by
