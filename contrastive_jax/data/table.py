"""Image files that a list names, with their classes and splits: CSV, JSON lines, or lines of text.

Paths are relative to the list's folder, or to `root`, or absolute. Files are ordered by the bytes
of their paths, as those of a folder are.
"""

import dataclasses
import functools
import os
import pathlib
import posixpath
import re
from collections.abc import Callable
from typing import Any

from contrastive_jax import data, errors, paths
from contrastive_jax.buckets import address
from contrastive_jax.data import folder, folder_on_disk, list_columns, named, parts, rows, splits
from contrastive_jax.data.rows import Row
from contrastive_jax.options import option


@dataclasses.dataclass(frozen=True)
class Options(folder.FileOptions):
  key = "data.table"
  path: str = option(
    "", "list of images (.csv, .tsv, .jsonl, .json, .txt), or NAME_{split}.csv", identity=False
  )
  root: str = option("", "folder that paths begin in; empty: that of the list", identity=False)
  image_column: str = option("", "column of paths; empty: path, file, image, ...")
  label_column: str = option(
    "",
    "column of classes; empty: label, class, target, ...; A,B,C or one_hot: a column a class, of 0 "
    "and 1; none: no labels",
  )
  split_column: str = option(
    "", "column of splits; empty: split, set, ...; none: all are of split train"
  )
  skip_missing: bool = option(False, "leave files out that are not there, with a line")


def build(split: str, options: Options) -> data.Source:
  """Reads the list and looks for its files. Raises UserError: it is no list, or some are gone."""
  return opener(options)(split)


def opener(options: Options) -> Callable[[str], data.Source]:
  """Returns `build` of a list that is read once, whatever the number of its splits."""
  if not options.path.lower().endswith(rows.SUFFIXES):
    raise errors.UserError(
      f'data.table.path "{options.path}" is no list; set it to a file that ends in '
      f"{', '.join(rows.SUFFIXES)}"
    )
  above, _, name = options.path.rpartition("/")
  tree, place = _place(above or ".", "data.table.path")
  root_tree, root = _place(options.root, "data.table.root") if options.root else (tree, place)
  found = _rows(tree, place, name, options)
  begin = f"{root}/"
  found = [row._replace(name=posixpath.normpath(row.name.removeprefix(begin))) for row in found]
  _check_no_address(found, name)
  if address.is_bucket(options.root or above):
    from contrastive_jax.data import folder_in_bucket

    made = functools.partial(folder_in_bucket.InBucket, root_tree, options)
  else:
    made = functools.partial(folder.Folder, max_megapixels=options.max_megapixels)

  def opened(asked: str) -> data.Source:
    without = "leave out these lines, or set --config.data.table.skip_missing=True"
    read = named.read(root, found, asked, root_tree, name, options.skip_missing, without)
    return made(*read)

  return functools.partial(parts.held_out, opened, part=options.holdout, key="data.table.holdout")


def _check_no_address(found: list[Row], file: str) -> None:
  """Raises UserError: an image is somewhere else, and nothing is fetched."""
  for row in found:
    if re.match(r"[a-z][a-z0-9+]*:/", row.name):  # of two slashes one is left
      raise errors.UserError(
        f"{file}, line {row.line}: {row.name.replace(':/', '://', 1)} is an address, and images "
        "are read from files; fetch them, and write their paths"
      )


def _place(given: str, key: str) -> tuple[splits.Tree, Any]:
  """Returns a folder of this machine or in a bucket, and what answers for it."""
  if address.is_bucket(given):
    from contrastive_jax.data import folder_in_bucket

    return folder_in_bucket.tree(given, key)
  place = pathlib.Path(os.path.abspath(paths.local(given, key)))
  if not place.is_dir():
    raise errors.Absent(f'no folder "{given}"; set {key} to a place that is there')
  return folder_on_disk.Tree(folder.suffixes()), place


def _rows(tree: splits.Tree, place: Any, name: str, options: Options) -> list[Row]:
  """Returns the rows of the list, or of those of all splits: classes are numbered over them."""
  columns = list_columns.Columns(options.image_column, options.label_column, options.split_column)
  read = functools.partial(rows.parsed, columns=columns, key="data.table", images=folder.suffixes())
  if "{split}" not in name:
    if not tree.is_file(place / name):
      raise errors.Absent(f'no file "{place / name}"; set data.table.path to a list of images')
    return _with_images(read(tree.content(place / name), name), name)
  read = functools.partial(
    read, columns=columns._replace(split=list_columns.NONE)
  )  # the name says it
  form = re.compile(re.escape(name).replace(re.escape("{split}"), "(.+)"))
  matches = {file: form.fullmatch(file) for file in tree.files(place)}
  of = {file: match[1] for file, match in matches.items() if match and splits.kind(match[1])}
  if not of:
    raise errors.Absent(
      f'no file "{place / name}" with train, val or test in the place of {{split}}; set '
      "data.table.path to a list of images"
    )
  found = [
    row._replace(split=split)
    for file, split in of.items()
    for row in _with_images(read(tree.content(place / file), file), file)
  ]
  return rows.with_booleans_alike(found)


def _with_images(found: list[Row], file: str) -> list[Row]:
  for row in found:
    if not row.name:
      raise errors.UserError(
        f"{file}, line {row.line}: {row.label!r} does not end as an image does, and no column is "
        "named; write path,label into the first line"
      )
  return found
