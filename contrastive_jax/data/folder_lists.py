"""Lists that a user names for the classes, or the splits, of the images in a folder."""

import collections
import functools
import itertools
import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from contrastive_jax import errors, plural
from contrastive_jax.data import list_classes, list_columns, named, rows, splits
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
  columns = list_columns.Columns(label=column)
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
  names = list_classes.classes([row.label for row in found], f"{file}: the label")
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


def of_one(
  found: list[Row],
  paths: Listing,
  prefix: str,
  file: str,
  split: str,
  others: Mapping[str, Callable[[], Listing]],
) -> list[Row]:
  """Returns the rows of a list that may name images of a split, [] if those of another are meant.

  A list such as trainLabels.csv may name 1.png where train/1.png and test/1.png lie. Then a row
  says of which split it is, or else the list's own name.

  Args:
    found: the rows of the list.
    paths: of the split.
    prefix: of these paths in the set.
    file: the list's name.
    split: the name of the folder of the split.
    others: what lists the files of each other split, by the names of their folders.

  Raises:
    UserError: it is not told, and the split is not that of training images.
  """
  each, way = named.by_way(found, paths, prefix, file) if others else (None, None)
  if each is None or way is None:
    return found
  pairs = [(row.name, path) for row, path in zip(each, paths, strict=True) if row is not None]
  called = {named.in_one_form(name): path for name, path in pairs}
  of_others = ((name, path) for name, listed in others.items() for path in listed())
  also = next(
    ((name, path) for name, path in of_others if named.in_one_form(way(path)) in called), None
  )
  if also is None:
    return found
  if any(splits.kind(row.split, short=True) for row in found):
    return named.of_split(found, split)
  if meant := _split_of_list(file):
    return found if meant == splits.kind(split) else []
  if None in each and _are_of_one(found, paths, others.values()):
    return []
  here = called[named.in_one_form(way(also[1]))]
  said = (
    f"{file} names {way(also[1])!r}, and {prefix}{here} and {'/'.join(also)} are called so: write "
    f"paths in data.folder.path ({prefix}{here}) there, or a column split, or call the list after "
    "its split (train_labels.csv)"
  )
  if splits.kind(split) != "train":
    raise errors.UserError(said)
  logging.getLogger(__name__).warning("warning: %s; its labels are taken for %s", said, split)
  return found


def _are_of_one(
  found: Sequence[Row], paths: Listing, others: Iterable[Callable[[], Listing]]
) -> bool:
  """Returns whether a list names all images of another split by their paths there, and no others.

  Then that one is meant, also where some images of this split, in folders, have such names: 0.png
  of test/0.png, and a/0.png here.
  """
  names = {named.in_one_form(row.name) for row in found}
  for listed in (paths, *(other() for other in others)):
    whole = [named.in_one_form(path) for path in listed]
    forms = (set(whole), {os.path.splitext(path)[0] for path in whole})
    if listed is paths and any(names & form for form in forms):
      return False
    if listed is not paths and any(names == form for form in forms):
      return True
  return False


def _split_of_list(file: str) -> str:
  """Returns the split that a list is called after: trainLabels.csv, train/labels.csv; "": none."""
  words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", file.rpartition(".")[0])
  words = [re.sub("labels?$", "", word.casefold()) for word in words]
  kinds = {splits.kind(word, short=True) for word in words} - {""}
  return kinds.pop() if len(kinds) == 1 else ""


def below(place: Any, given: Any) -> str:
  """Returns the path of a folder in another, with a slash at its end; "" if it is the same."""
  above = str(given / "x")[:-1]  # of "." nothing
  inside = "" if place == given else str(place).removeprefix(above)
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
  counts = collections.Counter(row.name for row in each if row is not None and row.name)
  several = [name for name, count in counts.items() if count > 1]
  if several:
    of_first = (p for p, row in zip(paths, each, strict=True) if row and row.name == several[0])
    logging.getLogger(__name__).warning(
      "warning: %s: %r names several images in %s (%s; %s): they have one label; if they are "
      "of several classes write their paths there",
      *(file, several[0], root, ", ".join(itertools.islice(of_first, 2))),
      plural.of(len(several), "such name"),
    )
  return each


def _numbered(each: Sequence[Row | None], names: Sequence[str]) -> np.ndarray:
  numbers = {name: number for number, name in enumerate(names)}
  labels = [-1 if row is None else list_classes.class_of(row.label, numbers) for row in each]
  return np.array(labels, np.int32)
