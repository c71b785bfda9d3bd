"""Splits that folders are called by a word of their names: seg_train and seg_test, trn and tst.

Two folders that differ by such a word alone are taken as splits where nothing else can be meant.
What could be classes, too, is refused.

Imports: errors.
"""

import logging
import re
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from contrastive_jax import errors
from contrastive_jax.data import splits
from contrastive_jax.data.splits import Tree

T = TypeVar("T")
_WORDS = {
  "train": re.compile("train(ing)?|trn"),
  "validation": re.compile("val(id(ation)?)?"),
  "test": re.compile("test(ing)?|tst"),
}
# What lies beside such splits and is none of them: of persons (Market-1501), or without classes.
_BESIDE = frozenset({"query", "gallery", "gt_bbox", "gt_query", *splits.BESIDE_TRAIN})


class InPart(NamedTuple):
  """Folders that are splits by a word of their names."""

  names: dict[str, str]  # by kind, in the order of `_WORDS`
  others: list[str]  # with images, that are left out


def find(base: T, tree: Tree) -> InPart | None:
  """Returns the splits that folders are called in part; None: there are none.

  Args:
    base: of a set.
    tree: in which it lies.

  Raises:
    UserError: they may be classes, since others lie beside them, or there are several such pairs.
  """
  folders = tree.folders(base)
  if any(map(splits.kind, folders)):
    return None
  alike: dict[str, dict[str, list[str]]] = {}  # of what is left without the word, by kind
  for kind, form in _WORDS.items():
    for name in folders:
      for word in form.finditer(name.casefold()):
        rest = f"{name.casefold()[: word.start()]}*{name.casefold()[word.end() :]}"
        if tree.has_images(base / name):
          alike.setdefault(rest, {}).setdefault(kind, []).append(name)
  pairs = {rest: found for rest, found in alike.items() if "train" in found and len(found) > 1}
  if not pairs:
    return None
  rest, found = next(iter(pairs.items()))
  names = {kind: of_kind[0] for kind, of_kind in found.items()}
  others = [n for n in folders if n not in names.values() and tree.has_images(base / n)]
  predicted = re.compile(re.escape(rest).replace(r"\*", "pred(iction)?s?"))
  clear = all(n.casefold() in _BESIDE or predicted.fullmatch(n.casefold()) for n in others)
  one_each = len(pairs) == 1 and all(len(of_kind) == 1 for of_kind in found.values())
  if not one_each or not clear and not _have_a_class_in_common(base, list(names.values()), tree):
    train, other, *_ = names.values()
    raise errors.UserError(
      f"{base}: {train} and {other} may be splits or classes: if they are splits "
      "rename them to train and test, or set data.folder.path to one of them; if classes, set "
      "data.folder.labels=folder"
    )
  return InPart(names, others)


def _have_a_class_in_common(base: T, names: Sequence[str], tree: Tree) -> bool:
  classes = []
  for name in names:
    place, inside = base / name, tree.folders(base / name)
    if inside == [name]:  # unpacked into a folder of the same name
      inside = tree.folders(place / name)
    classes.append(set(inside))
  return bool(set.intersection(*classes))


def folders(base: T, split: str, tree: Tree) -> tuple[T, list[T]] | None:
  """Returns what `splits.find` does, of splits that are called so in part; None: there are none.

  A line says which folders are taken as what.

  Raises:
    UserError: see `find`; `NoSplit` if there are such splits and none is this one.
  """
  if tree.is_folder(base / split) or not (found := find(base, tree)):
    return None
  if splits.kind(split) not in found.names:
    raise errors.NoSplit(
      f"{base} has no split {split!r} but {', '.join(found.names.values())}; name another "
      "(--config.data.split, --config.data.eval_split)"
    )
  logging.getLogger(__name__).log(
    logging.WARNING if found.others else logging.INFO,
    "%s%s: taken as splits are %s%s",
    "warning: " if found.others else "",
    base,
    ", ".join(f"{name} ({kind})" for kind, name in found.names.items()),
    f"; left out is {', '.join(found.others)}, unless data.split names it" if found.others else "",
  )
  return base / found.names[splits.kind(split)], [base / n for n in sorted(found.names.values())]


def tell_if_mixed(base: T, tree: Tree, labels: str) -> None:
  """Says that folders which are called like splits are all read as one.

  Args:
    base: of a set that is read as one split.
    tree: in which it lies.
    labels: by which it is read so.
  """
  try:
    found = find(base, tree)
  except errors.UserError:  # they may be classes
    return
  if found:
    logging.getLogger(__name__).warning(
      "warning: %s: %s are called like splits, and with data.folder.labels=%s the images of all "
      "folders are one split; name them by data.split and data.eval_split, or leave that out",
      *(base, " and ".join(found.names.values()), labels),
    )
