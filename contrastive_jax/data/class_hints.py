"""What is said of folders that are taken as classes, and may be domains, masks or parts of splits.

As of DomainNet, whose topmost folders are styles of pictures, or of sets whose splits are in lists.
"""

import logging
import re
from collections.abc import Sequence
from typing import Any

from contrastive_jax import errors
from contrastive_jax.data import rows, splits
from contrastive_jax.data.splits import Tree

_MOST_DOMAINS = 20  # folders that may be something above classes
_FEWEST_INSIDE = 10  # folders in each of those
_MOST_LOOKED_INTO = 20  # folders without images, for lists
_CLUTTER = re.compile(r"background_google|\d+\.clutter")  # of Caltech-101 and 256
_LISTS = (".csv", ".tsv", ".jsonl", ".ndjson")  # what else is a text may be a page to read
_WORD = re.compile(
  r"(?<![a-z])(train(?:ing)?|val(?:id(?:ation)?)?|test(?:ing)?)(?![a-z])", re.IGNORECASE
)


def tell(names: Sequence[str], given: Any, root: Any, tree: Tree, is_whole: bool) -> None:
  """Says where folders may be no classes, or lists may say of which split their images are.

  Args:
    names: of the folders.
    given: the folder that a user named.
    root: in which the folders lie.
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
  container = next((name for name in names if splits.is_container(name)), None)
  if container is not None and len(names) > 1:
    log.warning(
      "warning: %s is taken as a class beside %s: if it holds all images (and others masks, say) "
      "set data.folder.path=%s",
      *(container, next(name for name in names if name != container), root / container),
    )
  elif 2 <= len(names) <= _MOST_DOMAINS:
    _tell_of_domains(names, root, tree)
  elif len(names) == 1 and is_whole:
    if lists := [name for name in tree.files(given) if name.lower().endswith(_LISTS)]:
      log.warning(
        "warning: %s is the only folder with images and taken as a class; data.folder.labels=%s "
        "reads that list, data.folder.labels=none takes no labels",
        *(root / names[0], lists[0]),
      )
  if is_whole and (found := lists_of_splits(given, root, tree)):
    log.warning(
      "warning: %s may say of which split images are, and are not read: all are of split train; "
      "lists of paths are read by data.source=table, data.table.path=%s",
      *found,
    )


def _tell_of_domains(names: Sequence[str], root: Any, tree: Tree) -> None:
  inside = []
  for name in names:
    place = root / name
    inside = tree.folders(place) if tree.is_folder(place) else []
    if len(inside) == 1 and splits.is_container(inside[0]):
      inside = tree.folders(place / inside[0])
    if len(inside) < _FEWEST_INSIDE:
      return
  logging.getLogger(__name__).warning(
    "warning: %s are taken as classes, and each holds %d folders or more (%s/%s): if these are the "
    "classes set data.folder.labels=path, or data.folder.path to one of them",
    *(" and ".join(names[:2]), _FEWEST_INSIDE, names[-1], inside[0]),
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
        if match:
          form = f"{name[: match.start()]}{{split}}{name[match.end() :]}"
          alike.setdefault(form, {}).setdefault(splits.kind(match[1]), name)
      for form, found in alike.items():
        if "train" in found and len(found) > 1:
          other = found.get("test") or found["validation"]
          return f"{found['train']} and {other}", place / form
  return None


def check_no_parts_of_splits(base: Any, tree: Tree) -> None:
  """Raises UserError if all folders are called like parts of splits: train.X1, train.X2, val.X.

  As those of a part of ImageNet that is packed so.
  """
  with_images = [name for name in tree.folders(base) if _begins(name)]
  kinds = {_begins(name) for name in with_images}
  if len(kinds) < 2 or any(map(splits.kind, with_images)):
    return
  others = (name for name in tree.folders(base) if not _begins(name))
  if any(tree.has_images(base / name) for name in others):
    return
  with_images = [name for name in with_images if tree.has_images(base / name)]
  if len({_begins(name) for name in with_images}) > 1:
    names = f"{', '.join(with_images[:-1])} and {with_images[-1]}"
    raise errors.UserError(
      f"{base}: {names} are called like parts of splits: move what is in them into train, val and "
      "test there; if they are classes set data.folder.labels=folder"
    )


def _begins(name: str) -> str:
  """Returns the split that a name begins with, as a word; "": none."""
  match = _WORD.match(name)
  return splits.kind(match[1]) if match else ""
