"""Lists that a user names for the classes, or the splits, of the images in a folder."""

import functools
import logging
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from contrastive_jax import errors, plural
from contrastive_jax.data import named, rows, splits
from contrastive_jax.data.listing import Listing, of
from contrastive_jax.data.rows import Row
from contrastive_jax.data.splits import Tree


def read(
  given: Any, base: Any, tree: Tree, file: str, ways: Sequence[str], column: str = ""
) -> list[Row]:
  """Reads the list that a user names, or those of that name in the folders of all splits.

  Args:
    given: the folder that the user named.
    base: that of the splits.
    tree: in which both lie.
    file: its name in `given`.
    ways: what the option can be but for the name of a list.
    column: of labels; "": found by its usual names.

  Raises:
    UserError: there is none, or it is no list.
  """
  columns = rows.Columns(label=column)
  parsed = functools.partial(rows.parsed, columns=columns, key="data.folder", images=tree.suffixes)
  place = given
  for name in file.split("/"):
    place = place / name
  if not tree.is_file(place):
    folders = [base / name for name in tree.folders(base) if splits.kind(name)]
    found = [
      row._replace(name=f"{below(folder, given)}{row.name}")
      for folder in folders
      if tree.is_file(folder / file)
      for row in parsed(tree.content(folder / file), file)
    ]
    if found:
      return rows.with_booleans_alike(found)
    raise errors.UserError(
      f"there is no list {place}; data.folder.labels is {', '.join(ways)}, or the name of "
      "a file in data.folder.path, or in the folder of each split, that ends in "
      f"{', '.join(rows.SUFFIXES)}"
    )
  return parsed(tree.content(place), file)


def of_split(
  found: list[Row], listed: Listing, prefix: str, file: str, root: Any, split: str
) -> tuple[Listing, np.ndarray, tuple[str, ...]]:
  """Returns the images of a split that a list tells, all in one folder: files, labels, names.

  Args:
    found: the rows of the list.
    listed: all files.
    prefix: of their paths in the set.
    file: how an error calls the list.
    root: of the files, for an error.
    split: as it was asked for.

  Raises:
    UserError: the list names no image, or none of the split.
  """
  each = _matched(found, listed, prefix, file, root)
  of_split = set(named.of_split([row for row in each if row is not None], split))
  chosen = [i for i, row in enumerate(each) if row in of_split]
  if not chosen:
    known = sorted({row.split or "train" for row in found})
    raise errors.NoSplit(
      f"{file} names no image of split {split!r} but of {', '.join(known)}; name another split "
      "(--config.data.split, --config.data.eval_split)"
    )
  names = rows.classes([row.label for row in found], f"{file}: the label")
  paths = of((listed.encoded(i), listed.sizes[i], listed.times[i]) for i in chosen)
  return paths, _numbered([each[i] for i in chosen], names), names


def labels(
  found: list[Row], paths: Listing, prefix: str, file: str, names: Sequence[str], root: Any
) -> np.ndarray:
  """Returns the labels of all files, int [n]. Raises UserError: the list names none of them."""
  each = _matched(found, paths, prefix, file, root)
  without = [path for path, row in zip(paths, each, strict=True) if row is None]
  if without:
    logging.getLogger(__name__).warning(
      "warning: %s does not name %d of the %d images in %s (%r%s no label",
      *(file, len(without), len(paths), root, without[0]),
      "): it has" if len(without) == 1 else ", ...): they have",
    )
  return _numbered(each, names)


def names_others(
  found: list[Row], paths: Listing, prefix: str, file: str, others: Iterable[Listing]
) -> bool:
  """Returns whether a list names no image of a split, but some of another, as Kaggle's do.

  Args:
    found: the rows of the list.
    paths: of the split.
    prefix: of these paths in the set.
    file: how an error calls the list.
    others: files of the other splits, of which none is asked for in vain.
  """
  if not any(row.name for row in found) or named.matched(found, paths, prefix, file) is not None:
    return False
  return any(named.matched(found, other, "", file) is not None for other in others)


def below(place: Any, given: Any) -> str:
  """Returns the path of a folder in another, with a slash at its end; "" if it is the same."""
  inside = str(place)[len(str(given)) :].strip("/")
  return f"{inside}/" if inside else ""


def _matched(
  found: list[Row], paths: Listing, prefix: str, file: str, root: Any
) -> list[Row | None]:
  """Returns `named.matched`. Raises UserError: the list names none of the images."""
  each = named.matched(found, paths, prefix, file)
  if each is None:
    raise errors.UserError(
      f"{file} names none of the {plural.of(len(paths), 'image')} in {root}, such as {paths[0]!r} "
      f"(its line {found[0].line} has {found[0].name!r}): write paths in data.folder.path, or "
      "set data.folder.labels=none"
    )
  return each


def _numbered(each: Sequence[Row | None], names: Sequence[str]) -> np.ndarray:
  numbers = {name: number for number, name in enumerate(names)}
  labels = [-1 if row is None else rows.class_of(row.label, numbers) for row in each]
  return np.array(labels, np.int32)
