"""Which sub-folders of a set are its splits, however they are written: Train, val, test_images.

A split that is taken for a class puts test images among those that are trained on, and a class that
is taken for a split (there are trains among vehicles) leaves all others out. What could be both is
refused.

Imports: errors.
"""

import os
import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from contrastive_jax import errors
from contrastive_jax.data.listing import Listing

T = TypeVar("T")
_SPLITS = {"train(ing)?": "train", "val(id|idation)?": "validation", "test(ing)?": "test"}
_BESIDE = r"(images?|imgs?|data|set|split|\d+)"  # train_images, train2017, testset, data-val
_FORMS = {re.compile(rf"({_BESIDE}[ _.-]?)?{w}([ _.-]?{_BESIDE})*"): k for w, k in _SPLITS.items()}
# Names of splits beside one that is called train, and of classes elsewhere.
BESIDE_TRAIN = {"dev": "validation", "development": "validation"} | dict.fromkeys(
  ("eval", "evaluation", "holdout", "held_out", "extra", "unlabeled", "unlabelled"), ""
)
_MINI = "train_mini"  # of iNaturalist, which may be there in place of train
BESIDE_TRAIN |= {"final_test": "test", _MINI: "", "public_test": ""}  # of GTSRB and iNaturalist
_SPELT = (
  *("train", "training", "trn", "val", "valid", "validation", "dev"),
  *("test", "testing", "tst"),
)
_SHORT = {"trn": "train", "tst": "test"}  # where no name is written out
# Between a split and its classes, or its images, and none of either.
_CONTAINER = re.compile(r"images?|imgs?|pictures?|photos?|jpe?gs?|pngs?|jpegimages|data")
# What systems put beside a user's folders, and programs that show them.
PLAIN = frozenset(
  {"__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information"}
)  # as runs from before know it
SYSTEM = PLAIN | {"#recycle", "@tmp", "__pycache__", "thumbnails", "Thumbnails", "thumbs", "Thumbs"}

# Hidden, and not by whoever named the classes; in small letters.
_HIDDEN_SYSTEM = frozenset(
  (
    *(".git", ".hg", ".svn", ".dvc", ".cache", ".venv", ".tmp", ".ipynb_checkpoints"),
    *(".thumbnails", ".thumbs", ".thumb", ".@__thumb", ".xvpics", ".picasaoriginals"),
    *(".appledouble", ".spotlight-v100", ".fseventsd", ".temporaryitems", ".snapshot"),
  )
)


def kind(name: str, short: bool = False) -> str:
  """Returns "train", "validation" or "test" for a name of such a split, "" for any other.

  Args:
    name: of a folder, a file or whatever a split may be called by.
    short: whether "trn" and "tst" are such names.
  """
  found = next((k for form, k in _FORMS.items() if form.fullmatch(name.casefold())), "")
  return found or (_SHORT.get(name.casefold(), "") if short else "")


def is_short_for(name: str, split: str) -> bool:
  """Returns whether a name is "trn" or "tst" and means a split, if no other name does."""
  return bool(kind(split)) and _SHORT.get(name.casefold()) == kind(split)


def spelt_like(split: str) -> list[str]:
  """Returns what other splits may be called, in capitals as the name of a split has them."""
  style = str.upper if split.isupper() else str.title if split.istitle() else str.lower
  return [name for name in map(style, _SPELT) if name != split]


def is_container(name: str) -> bool:
  """Returns whether a folder of that name holds images of any class, as val/images does."""
  return bool(_CONTAINER.fullmatch(name.casefold()))


def belongs(name: str, outside: frozenset[str] = SYSTEM) -> bool:
  """Returns whether a folder of that name may hold images of a set; those `outside` do not."""
  return not name.startswith(".") and name not in outside


def may_be_hidden_class(name: str) -> bool:
  """Returns whether a name of a folder begins with a dot, and no system or program gives it."""
  if not name.startswith("."):  # as nearly all of a million
    return False
  small = name.casefold()
  return small not in _HIDDEN_SYSTEM and not small.startswith(".trash")


class Tree(Protocol):
  """What answers for the folders of a set: a file system, or the listing of a bucket."""

  suffixes: tuple[str, ...]  # of images

  def is_folder(self, place: Any) -> bool: ...

  def is_file(self, place: Any) -> bool: ...

  def folders(self, place: Any) -> list[str]:
    """Returns the names of the sub-folders that belong to the set, in order."""

  def files(self, place: Any) -> list[str]:
    """Returns the names of the files that lie directly in a folder and are no images, in order."""

  def is_flat(self, place: Any) -> bool:
    """Returns whether an image lies directly in a folder."""

  def has_images(self, place: Any) -> bool:
    """Returns whether there is an image in a folder, at any depth."""

  def listed(self, place: Any) -> Listing:
    """Lists the images below a folder."""

  def content(self, place: Any) -> bytes:
    """Returns what a small file holds."""

  def measured(self, place: Any, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns sizes (`listing.GONE` where there is no such file) and times, int64 [n] each."""


def find(base: T, split: str, tree: Tree) -> tuple[T, list[T]]:
  """Returns the folder of a split, and those of all splits: a set without any is all "train".

  Args:
    base: the folder of the set, to which `/` adds a name.
    split: as it was asked for.
    tree: in which it lies.

  Raises:
    UserError: there is no such split (`NoSplit`), or several folders could be it.
  """
  folders = tree.folders(base)
  present, beside = [name for name in folders if kind(name)], []
  has_train = any(kind(name) == "train" for name in present)
  mini = [] if has_train else [name for name in folders if name.casefold() == _MINI]
  if has_train or mini:
    beside = [name for name in folders if name.casefold() in BESIDE_TRAIN]
  if tree.is_folder(base / split):
    name = split
  else:
    alike = [name for name in present if kind(name) == kind(split)]
    if kind(split):
      alike = alike or [n for n in beside if kind(split) == BESIDE_TRAIN[n.casefold()]]
    if len(alike) > 1:
      raise errors.UserError(
        f"{base} has {' and '.join(alike)}: name the split as one of them is written, e.g. "
        f"--config.data.split={alike[0]}"
      )
    if not alike and split == "train" and not present:
      return base, [base]
    if not alike:
      raise errors.NoSplit(
        f"{base} has no sub-folder {split!r}"
        + (f" but {', '.join(sorted([*present, *beside]))}" if present else "")
        + "; make one, or name another (--config.data.split, --config.data.eval_split), or hold "
        "out a part of the images as split test, --config.data.folder.holdout=0.1"
      )
    name = alike[0]
  return base / name, [base / n for n in sorted({name, *present, *mini})]


def check_not_a_class(root: pathlib.Path, with_images: Iterable[str]) -> None:
  """Raises `UserError` if the folder of the only split lies among what may be classes.

  Args:
    root: of the split.
    with_images: the names of the folders beside it that hold images.
  """
  others = sorted(name for name in with_images if name.casefold() not in BESIDE_TRAIN)
  if others:
    raise errors.UserError(
      f"{root} lies beside {', '.join(others[:3])}{', ...' if len(others) > 3 else ''}, which hold "
      f"images too: if it is a split set data.folder.path={root}, if it is a class rename it"
    )


def check_not_within(root: pathlib.Path, nested: Iterable[str]) -> None:
  """Raises `UserError` if splits lie within what would be classes, whose images would be mixed.

  Args:
    root: of the set.
    nested: folders with images, two levels below root.
  """
  found: dict[str, dict[str, str]] = {}
  for path in nested:
    first, second = path.split(os.sep)
    if kind(second):
      found.setdefault(first, {})[kind(second)] = second
  for first, inside in found.items():
    if len(inside) > 1:
      folder, names = root / first, " and ".join(sorted(inside.values()))
      raise errors.UserError(
        f"{folder} holds {names}: classes lie in splits, not splits in classes; set "
        f"data.folder.path={folder} if that is the set, or move them"
      )
