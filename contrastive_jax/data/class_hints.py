"""What is said of folders that are taken as classes, and may be domains, masks or parts of splits.

As of DomainNet, whose topmost folders are styles of pictures, or of sets whose splits are in lists.
"""

import calendar
import itertools
import logging
import re
from collections.abc import Iterable, Sequence
from typing import Any

from contrastive_jax import errors
from contrastive_jax.data import folder_lists, list_hints, rows, splits
from contrastive_jax.data.listing import Listing
from contrastive_jax.data.splits import Tree

_MOST_DOMAINS = 20  # folders that may be something above classes
_FEWEST_INSIDE = 10  # folders in each of those, of the same names
_GREAT_MANY_INSIDE = 50  # of any names: fruits beside vegetables
_OF_TIME = {
  name.casefold()
  for names in (calendar.month_name, calendar.month_abbr, calendar.day_name, calendar.day_abbr)
  for name in names
}
_MOST_LOOKED_INTO = 20  # folders without images, for lists
_CLUTTER = re.compile(r"background_google|\d+\.clutter")  # of Caltech-101 and 256
_MAY_BE_A_STYLE = re.compile(r"photos?|pictures?", re.IGNORECASE)  # beside sketches: classes
_MOST_ARCHIVES = 4  # of one set
_LETTERS = 3  # of what a part of a split is called by: X1
# In the name of what a training reads or writes: train_log.txt, val_loss.csv, config_test.json.
_RECORD = re.compile(
  r"(?<![a-z])(logs?|loss(es)?|metrics?|scores?|results?|history|accuracy|predictions?|stats|"
  r"features|embeddings|config|requirements|readme)"
  r"(?![a-z])",
  re.IGNORECASE,
)
_WORD = re.compile(
  r"(?<![a-z])(train(?:ing)?|val(?:id(?:ation)?)?|test(?:ing)?)(?![a-z])", re.IGNORECASE
)


def tell(
  names: Sequence[str], given: Any, root: Any, paths: Listing, tree: Tree, is_whole: bool
) -> None:
  """Says where folders may be no classes, or lists may say of which split their images are.

  Args:
    names: of the folders.
    given: the folder that a user named.
    root: in which the folders lie.
    paths: of the images in it.
    tree: in which all lie.
    is_whole: whether there are no folders of splits.
  """
  log = logging.getLogger(__name__)
  if clutter := next((name for name in names if _CLUTTER.fullmatch(name.casefold())), None):
    log.warning(
      "warning: %s is taken as a class, and holds images of none: move it elsewhere if it is not "
      "to be one",
      root / clutter,
    )
  around = (n for n in names if splits.is_container(n) and not _MAY_BE_A_STYLE.fullmatch(n))
  container = next(around, None)
  if container is not None and len(names) > 1:
    log.warning(
      "warning: %s is taken as a class beside %s: if it holds all images (and others masks, say) "
      "set data.folder.path=%s",
      *(container, next(name for name in names if name != container), root / container),
    )
  elif 2 <= len(names) <= _MOST_DOMAINS:
    _tell_of_domains(names, root, tree)
  elif len(names) == 1 and is_whole:
    if lists := list_hints.of_images(given, tree, paths, folder_lists.below(root, given)):
      log.warning(
        "warning: %s is the only folder with images and taken as a class; data.folder.labels=%s "
        "reads that list, data.folder.labels=none takes no labels",
        *(root / names[0], lists[0].file),
      )
  if is_whole and (found := lists_of_splits(given, root, tree)):
    log.warning(
      "warning: %s may say of which split images are, and are not read: all are of split train; "
      "lists of paths are read by data.source=table, data.table.path=%s",
      *found,
    )


def _tell_of_domains(names: Sequence[str], root: Any, tree: Tree) -> None:
  """Says where each folder holds many, of the same names in all of them or a great many.

  patient01, patient02, ... are no classes, nor are months, nor a dozen people who are sick or well.
  """
  inside, kinds = [], []
  for name in names:
    place = root / name
    inside = tree.folders(place) if tree.is_folder(place) else []
    if len(inside) == 1 and splits.is_container(inside[0]):
      inside = tree.folders(place / inside[0])
    without_numbers = (re.sub(r"\d", "", one).strip(" ._-").casefold() for one in inside)
    kinds.append(set(without_numbers) - _OF_TIME)
    if len(kinds[-1]) < _FEWEST_INSIDE:
      return
  if len(set.intersection(*kinds)) < _FEWEST_INSIDE and min(map(len, kinds)) < _GREAT_MANY_INSIDE:
    return
  logging.getLogger(__name__).warning(
    "warning: %s are taken as classes, and each holds %d folders or more (%s/%s): if these are the "
    "classes set data.folder.labels=path, or data.folder.path to one of them",
    *(" and ".join(names[:2]), min(map(len, kinds)), names[-1], inside[0]),
  )


def lists_of_splits(given: Any, root: Any, tree: Tree) -> tuple[str, Any] | None:
  """Returns two lists that are called alike but for their splits, and their path; None: no such.

  They are looked for beside the images and in folders that hold none. The path has {split}.
  """
  for top in dict.fromkeys((given, root)):
    folders = tree.folders(top)[:_MOST_LOOKED_INTO]
    inside = [top / name for name in folders if not tree.has_images(top / name)]
    for place in (top, *inside):
      alike: dict[str, dict[str, str]] = {}
      for name in tree.files(place):
        match = _WORD.search(name) if name.lower().endswith(rows.SUFFIXES) else None
        if match and not _RECORD.search(name):
          form = f"{name[: match.start()]}{{split}}{name[match.end() :]}"
          alike.setdefault(form, {}).setdefault(splits.kind(match[1]), name)
      for form, found in alike.items():
        if "train" in found and len(found) > 1:
          other = found.get("test") or found["validation"]
          return f"{found['train']} and {other}", place / form
  return None


def check_no_parts_of_splits(base: Any, tree: Tree) -> None:
  """Raises UserError if all folders are called like parts of splits: train.X1, train.X2, val.X.

  As those of a part of ImageNet that is packed so. test_tube and train_engine are classes.
  """
  begun = {name: _begun(name) for name in tree.folders(base)}
  with_images = [name for name, parts in begun.items() if parts]
  if not _are_parts(map(begun.get, with_images)) or any(map(splits.kind, with_images)):
    return
  if any(tree.has_images(base / name) for name, parts in begun.items() if not parts):
    return
  with_images = [name for name in with_images if tree.has_images(base / name)]
  if _are_parts(map(begun.get, with_images)):
    names = f"{', '.join(with_images[:-1])} and {with_images[-1]}"
    raise errors.UserError(
      f"{base}: {names} are called like parts of splits: move what is in them into train, val and "
      "test there; if they are classes set data.folder.labels=folder"
    )


def check_no_archives(base: Any, tree: Tree) -> None:
  """Raises UserError if archives of one set were unpacked each into a folder of its own.

  Each then holds the folder of the set, GTSRB/, which would be the only class: with training images
  in one and test images in another.
  """
  found = (name for name in tree.folders(base) if tree.has_images(base / name))
  names = list(itertools.islice(found, _MOST_ARCHIVES + 1))
  if not 2 <= len(names) <= _MOST_ARCHIVES or any(map(splits.kind, names)):
    return
  inside = {name: _with_images(base / name, tree) for name in names}
  common = inside[names[0]]
  if (
    len(common) != 1 or splits.is_container(common[0]) or any(i != common for i in inside.values())
  ):
    return
  if any(tree.is_flat(base / name) for name in names):
    return
  kinds = [{split_in(n) for n in _with_images(base / name / common[0], tree)} for name in names]
  together = set.union(*kinds)
  if "" in together or "train" not in together or all(some == together for some in kinds):
    return
  raise errors.UserError(
    f"{base}: {' and '.join(names)} each hold a folder {common[0]}, of training images in one and "
    "others in another, as archives do that were unpacked into folders of their own: move what is "
    f"in these {common[0]} into one, and its lists beside it; if they are classes set "
    "data.folder.labels=folder"
  )


def _with_images(place: Any, tree: Tree) -> list[str]:
  return [name for name in tree.folders(place) if tree.has_images(place / name)]


def split_in(name: str) -> str:
  """Returns the split that a name has as a word: Final_Training; "": none."""
  match = _WORD.search(name)
  return splits.kind(match[1]) if match else ""


def _begun(name: str) -> tuple[str, str] | None:
  """Returns the split that a name begins with, as a word, and the letters after it; None: none."""
  match = _WORD.match(name)
  rest = name[match.end() :] if match else ""
  return (splits.kind(match[1]), re.sub(r"[\W\d_]", "", rest).casefold()) if match else None


def _are_parts(begun: Iterable[tuple[str, str]]) -> bool:
  """Returns whether names of train and others say no more than the split, or go on alike."""
  of_train, others = set(), set()
  for kind, rest in begun:
    (of_train if kind == "train" else others).add(rest)
  if not (of_train and others):
    return False
  return bool(of_train & others) or max(map(len, of_train | others)) <= _LETTERS
