"""What well-known sets say of their images in files of their own, as they are downloaded.

Each is told by the names of these files. Images lie in the folder that the set has for them.
"""

import functools
import itertools
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from contrastive_jax import errors
from contrastive_jax.data import (
  any_case,
  gtsrb,
  places365,
  rows,
  set_files,
  sets_in_lists,
  sets_in_matlab,
  splits,
)
from contrastive_jax.data.any_case import AnyCase
from contrastive_jax.data.rows import Row
from contrastive_jax.data.set_files import Known

_KAGGLE = ("ILSVRC", "Data", "CLS-LOC")  # ImageNet, as that site packs it
_DEVKIT = ("ILSVRC2012_devkit_t12", "data")
_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_ALONE = (places365.CATEGORIES, "ClassName.txt", "GT-final_test.csv", "LOC_val_solution.csv")
NEWEST = 3  # version of what is known
_CUB = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")
_DEEPEST = 8  # folders that hold nothing else; a link may lead up


def base_of(given: Any, tree: AnyCase) -> Any:
  """Returns the folder of the splits of a set that was unpacked as it was downloaded."""
  inner = set_files.below(given, _KAGGLE)
  return tree.place(inner) if tree.is_folder(inner) else given


def whole(base: Any, tree: AnyCase, labels: str, version: int = NEWEST) -> Known | None:
  """Returns the set in a folder if its files name all its images; None: it is no such set.

  Args:
    base: the folder, or that above.
    tree: in which it lies.
    labels: "auto", or the name of a list of the set by which it has other classes or splits.
    version: of what is known: sets of a later one are not looked for.
  """
  for one, place, there in _there(base, tree):
    chosen = re.search(rf"(?:^|/)({one.lists})$", labels) if one.lists else None
    if labels != "auto" and not chosen or not one.since <= version <= one.until:
      continue
    if len(there) == len(one.files):
      found = _read(one, place, tree, *([chosen[1]] if chosen else ()))
      if found and (tree.is_folder(found.images) or one.files == _CUB or one.since == 1):
        any_case.tell(tree, place, found.what)
        return found._replace(images=tree.place(found.images))
      if found:
        logging.getLogger(__name__).warning(
          "warning: %s names images in %s, and there is no such folder: %s is read as one of any "
          "other set",
          *(place / found.what, found.images, base),
        )
  return None


def _there(base: Any, tree: AnyCase) -> Iterator[tuple["_Set", Any, list[str]]]:
  """Yields each set, the folder in which it may lie, and which of its files are there."""
  for within in ("", *_FOLDERS):
    place = set_files.below(base, within.split("/")) if within else base
    for one in _WHOLE:
      if not within or within in one.within:
        is_there = (tree.is_file(set_files.below(place, name.split("/"))) for name in one.files)
        yield one, place, list(itertools.compress(one.files, is_there))


def _read(one: "_Set", place: Any, tree: AnyCase, *chosen: str) -> Known | None:
  """Reads a set. Raises UserError: a file is damaged, or is that of another set."""
  instead = "or set data.folder.labels to folder or none"
  try:
    return one.read(place, tree, *chosen)
  except errors.UserError as error:
    raise errors.UserError(f"{error}, {instead}") from error
  except (LookupError, ValueError, TypeError, AttributeError) as error:  # of arrays of MATLAB
    raise errors.UserError(
      f"{place}: files are called as those of a known set ({', '.join(one.files)}) and hold "
      f"something else ({type(error).__name__}: {error}); copy the set again, {instead}"
    ) from error


def tell_of_others(base: Any, tree: AnyCase) -> None:
  """Says where a set may be known and is not: some of its files are gone, or it lies deeper.

  Args:
    base: a folder that holds no known set.
    tree: in which it lies.
  """
  log, tried = logging.getLogger(__name__), set()  # what `whole` has told of
  for one, place, there in _there(base, tree):
    tried |= {str(place)} if len(there) == len(one.files) else set()
    gone = [name for name in one.files if name not in there]
    if gone and 2 * len(there) >= len(one.files):
      log.warning(
        "warning: %s has %s as a known set does, and not %s: it is read as any other folder, "
        "without the splits and classes of that set; if it is that set copy what is not there",
        *(place, " and ".join(there), " and ".join(gone)),
      )
      return
  place = base
  for _ in range(_DEEPEST):
    names = (name for name in tree.folders(place) if tree.has_images(place / name))
    with_images = list(itertools.islice(names, 2))
    if len(with_images) != 1:
      return
    place = place / with_images[0]
    whole_sets = (
      one
      for one, at, there in _there(place, tree)
      if len(there) == len(one.files) and str(at) not in tried
    )
    found = next(whole_sets, None)
    file = next((name for name in _ALONE if tree.is_file(place / name)), "")
    if found is not None or file:
      log.warning(
        "warning: %s has %s as a known set does, and is not read so from %s: if it is that set let "
        "data.folder.path=%s",
        *(place, file or " and ".join(found.files), base, place),
      )
      return


def of_split(
  split: Any,
  base: Any,
  given: Any,
  tree: AnyCase,
  version: int = NEWEST,
  folders: Iterable[str] = (),
) -> tuple[str, list[Row]] | None:
  """Returns what says of the images of one split of which class they are, and the rows of it.

  Args:
    split: its folder.
    base: that of the set.
    given: the folder that a user named, `base` or above.
    tree: in which they lie.
    version: of what is known.
    folders: that are classes of the set.
  """
  if version >= 2 and (found := gtsrb.classes(split, base, given, tree, version, folders)):
    return found
  if tree.is_file(split / "val_annotations.txt"):  # Tiny ImageNet: name, class, corners of a box
    lines = set_files.lines(split / "val_annotations.txt", tree, columns=2)
    return "val_annotations.txt", [Row(n, name, label, "") for n, (name, label, *_) in lines]
  if splits.kind(split.name) != "validation":
    return None
  for place in dict.fromkeys(
    (split, base, given, *(set_files.below(p, _DEVKIT) for p in (base, given)))
  ):
    if tree.is_file(place / "LOC_val_solution.csv"):
      content = tree.content(place / "LOC_val_solution.csv")
      return "LOC_val_solution.csv", rows.parsed(content, "LOC_val_solution.csv")
    for name in ("imagenet_2012_validation_synset_labels.txt", _TRUTH):
      if tree.is_file(place / name):
        return name, _in_order(place, name, tree)
  return None


def _in_order(place: Any, name: str, tree: AnyCase) -> list[Row]:
  """Returns the classes of images in the order of their names, numbers as what they stand for."""
  found = rows.parsed(tree.content(place / name), name)
  if name != _TRUTH:
    return found
  # The kit's numbers are not in the order of the names that folders have.
  if not tree.is_file(place / "meta.mat"):
    raise errors.UserError(
      f"{place / name} has numbers of classes, and what they stand for is in meta.mat of the same "
      "development kit: put that file beside it, or set data.folder.labels=none"
    )
  kit = set_files.mat(place / "meta.mat", tree)
  try:
    numbers, synsets = (kit["synsets"][field] for field in ("ILSVRC2012_ID", "WNID"))
    names = {int(number): str(name) for number, name in zip(numbers, synsets, strict=True)}
  except (LookupError, TypeError, ValueError) as error:
    raise errors.UserError(
      f"{place / 'meta.mat'} has no synsets of ILSVRC2012_ID and WNID, as that of the development "
      "kit; copy it again, or set data.folder.labels=none"
    ) from error
  for row in found:
    if not row.label.isdigit() or int(row.label) not in names:
      raise errors.UserError(
        f"{place / name}, line {row.line}: {row.label!r} is no number of a class of meta.mat"
      )
  return [row._replace(label=names[int(row.label)]) for row in found]


class _Set(NamedTuple):
  """How a set is told and read."""

  read: Callable[..., Known | None]
  files: tuple[str, ...]  # which all are there
  within: tuple[str, ...] = ("CUB_200_2011", "food-101")  # that it is packed in, one of these
  lists: str = ""  # the form of what `labels` may name: then `read` is given it
  since: int = 2  # the version that knows it: of the layouts known, known-2, ...
  until: int = NEWEST  # the last version that reads it so


_WHOLE = (
  _Set(sets_in_lists.cub, _CUB, since=3),
  _Set(functools.partial(sets_in_lists.cub, whole=False), _CUB, since=1, until=2),
  _Set(sets_in_matlab.flowers, ("imagelabels.mat", "setid.mat"), since=1),
  _Set(
    sets_in_lists.food,
    ("meta/classes.txt", "meta/labels.txt", "meta/train.txt", "meta/test.txt"),
    since=1,
  ),
  _Set(
    sets_in_lists.pets,
    ("annotations/trainval.txt", "annotations/test.txt", "annotations/list.txt"),
    since=1,
  ),
  _Set(
    sets_in_lists.pets,
    ("annotations/trainval.txt", "annotations/test.txt", "annotations/list.txt"),
    ("oxford-iiit-pet",),
  ),
  _Set(
    sets_in_lists.aircraft,
    ("images_variant_train.txt", "images_variant_val.txt", "images_variant_test.txt"),
    ("data", "fgvc-aircraft-2013b/data"),
    r"(variants|families|manufacturers)\.txt",
  ),
  _Set(
    sets_in_lists.textures,
    ("labels/train1.txt", "labels/val1.txt", "labels/test1.txt", "labels/labels_joint_anno.txt"),
    ("dtd", "dtd/dtd"),
    r"labels/train\d+\.txt",
  ),
  _Set(
    sets_in_matlab.cars_in_splits,
    ("devkit/cars_train_annos.mat", "devkit/cars_meta.mat"),
    ("stanford_cars",),
  ),
  _Set(sets_in_matlab.cars, ("cars_annos.mat",), ("stanford_cars",)),
  _Set(sets_in_matlab.dogs, ("train_list.mat", "test_list.mat"), ()),
)
_FOLDERS = tuple(dict.fromkeys(name for one in _WHOLE for name in one.within))
