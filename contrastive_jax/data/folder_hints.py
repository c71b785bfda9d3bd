"""What is said of folders that may be meant otherwise than they are read, or cannot be read."""

import logging
import os
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, NoReturn

from contrastive_jax import errors
from contrastive_jax.data import class_hints, folder_lists, list_hints, splits
from contrastive_jax.data.listing import Listing
from contrastive_jax.data.splits import Tree

_OTHER_SOURCES = {  # that read what may lie in a folder without images
  **{".parquet": "parquet", ".arrow": "parquet", ".tar": "webdataset", ".npz": "npz"},
  **{".arrayrecord": "arrayrecord", ".array_record": "arrayrecord"},
}
_OTHER_WAYS = {  # to read sets that are downloaded as arrays
  r".+_X\.bin": "STL-10's files are read by --config.data.source=npz "
  "--config.data.npz.path='DIR/{split}_X.bin'",
  r".+_32x32\.mat": "SVHN's files are read by --config.data.source=npz "
  "--config.data.npz.path='DIR/{split}_32x32.mat'",
  r".+[-.]idx\d-ubyte(\.gz)?|(data|test)_batch(_\d)?(\.bin)?|fine_label_names\.txt|meta": "files "
  "of MNIST and CIFAR are read by --config.data.source=npz --config.data.npz.path=DIR",
  r".+\.(h5|hdf5)": "HDF5 files are opened by h5py in Python, and their arrays given to train: "
  'images={"train": (file["x"], file["y"])} (docs/data.md, Objects in Python)',
}
_MOST_FORMS = 4  # of one set, beside each other
_MOST_PARTS = 20  # that are looked into
_MOST_LOOKED_AT = 100_000  # images of a flat folder in which lists are looked for


def raise_for_none(root: Any, tree: Tree, suffixes: Sequence[str]) -> NoReturn:
  """Raises `Absent`, with what reads the files in a folder without images, or the suffixes."""
  names = [
    *tree.files(root),
    *(n for name in tree.folders(root) for n in tree.files(root / name)),
  ]
  for form, way in _OTHER_WAYS.items():
    if any(re.fullmatch(form, name, re.IGNORECASE) for name in names):
      raise errors.Absent(f"no image under {root}; {way}")
  ends = [end for name in names for end in _OTHER_SOURCES if name.endswith(end)]
  if ends:
    raise errors.Absent(
      f"no image under {root}; files ending in {ends[0]} are read by "
      f"--config.data.source={_OTHER_SOURCES[ends[0]]}"
    )
  raise errors.Absent(f"no image under {root}; it must hold files ending in {', '.join(suffixes)}")


def of_classes(names: Sequence[str], given: Any, root: Any, paths: Listing, tree: Tree) -> None:
  """Says where classes may be something else: parts of a set, letters, or its forms.

  Args:
    names: of the classes.
    given: the folder that a user named.
    root: that of the split.
    paths: of the images.
    tree: in which they lie.
  """
  _of_parts(names, given, root, paths, tree)
  _of_letters(names, root, tree)
  _of_forms(names, root, tree)


def of_flat(
  folder: Any,
  images: Any,
  given: Any,
  paths: Listing,
  tree: Tree,
  in_name: Callable[[str], str],
  classes: Collection[str],
) -> None:
  """Says what could give the labels of a flat folder, which is taken without.

  Args:
    folder: of a split.
    images: the folder of its images, the same or below.
    given: that a user named.
    paths: of the images.
    tree: in which they lie.
    in_name: returns the class in the name of a file.
    classes: of the other splits, whose images lie in folders of them: a list that names one split
      alone is of no use there.
  """
  if len(paths) > _MOST_LOOKED_AT:
    return
  pair = class_hints.lists_of_splits(given, folder, tree)
  said = ["data.source=table, data.table.path={1} reads {0}".format(*pair)] if pair else []
  said = [] if splits.kind(folder.name) else said
  for place in dict.fromkeys((given, folder)):
    # There may be one in each split.
    above = "" if splits.kind(place.name) else folder_lists.below(place, given)
    fitting = list_hints.of_images(place, tree, paths, folder_lists.below(images, place), classes)
    for file, column in fitting:
      if classes:
        said.append(_of_one_split(f"{above}{file}", column, sorted(classes), pair))
      else:
        said.append(f"data.folder.labels={above}{file} reads that list")
  few = [in_name(paths[i]) for i in range(0, len(paths), -(-len(paths) // 1000))]
  if not splits.kind(folder.name) and _have_splits_in_names(images, paths):
    few = []  # and no classes
  if not classes and 2 <= len(set(few)) <= len(few) // 2 and all(few):
    kinds = ", ".join(sorted(set(few))[:3])
    said.append(f"data.folder.labels=name takes {kinds}, ... in the files' names as classes")
  if said:
    logging.getLogger(__name__).warning(
      "warning: the images in %s lie in no folders of classes and are taken without labels; %s",
      images,
      "; ".join(said[:2]),
    )


def _have_splits_in_names(images: Any, paths: Listing) -> bool:
  """Says, and returns, whether all names say of which split they are: train_1.png, test_1.png."""
  first: dict[str, str] = {}
  for i in range(0, len(paths), -(-len(paths) // 1000)):
    name = os.path.basename(paths[i])
    first.setdefault(class_hints.split_in(name), name)
  is_so = "train" in first and len(first) > 1 and "" not in first
  if is_so:
    logging.getLogger(__name__).warning(
      "warning: the names of images in %s say of which split they are, such as %s, and all are "
      "read as one: move them into folders train, val and test there",
      *(images, " and ".join(first.values())),
    )
  return is_so


def _of_one_split(
  file: str, column: str, classes: Sequence[str], pair: tuple[str, Any] | None
) -> str:
  """Returns what is to be done with a list of one split, where others lie in folders of classes."""
  if column and pair and file in pair[0].split(" and "):
    read = f"data.source=table, data.table.path={pair[1]}, data.table.label_column={column}"
    return f"{read} reads {pair[0]}"
  has = f"has the classes of other splits in its column {column}"
  without = f"names them, and no column has the classes of other splits ({', '.join(classes[:2])})"
  return f"{file} {has if column else without}: move them into folders of these"


def _of_parts(names: Sequence[str], given: Any, root: Any, paths: Listing, tree: Tree) -> None:
  """Says where classes may be parts of a set: part_1 and part_2.

  A list of all images lies beside them, or each holds folders of the same names.
  """
  without = {re.sub(r"\d+", "", name).strip(" ._-") for name in names}
  if len(names) < 2 or len(without) > 1 or "" in without:
    return
  if lists := list_hints.of_images(given, tree, paths, folder_lists.below(root, given)):
    logging.getLogger(__name__).warning(
      "warning: %s differ by a number alone and are taken as classes; if they are parts of one set "
      "data.folder.labels=%s reads that list",
      *(" and ".join(names[:2]), lists[0].file),
    )
    return
  places = [root / name for name in names[:_MOST_PARTS] if tree.is_folder(root / name)]
  inside = [set(tree.folders(place)) for place in places]
  common = sorted(set.intersection(*inside)) if len(inside) > 1 else []
  if len(common) > 1:
    logging.getLogger(__name__).warning(
      "warning: %s differ by a number alone, are taken as classes, and hold folders of the same "
      "names (%s, ...): if these are the classes set data.folder.path to one of them, or move all "
      "into one",
      *(" and ".join(place.name for place in places[:2]), " and ".join(common[:2])),
    )


def _of_letters(names: Sequence[str], root: Any, tree: Tree) -> None:
  """Says where classes may be the letters that folders of classes are sorted by: a/abbey."""
  if len(names) < 2 or any(len(name) != 1 or not name.isalpha() for name in names):
    return
  there = [name for name in names if tree.is_folder(root / name)]  # a split may have no image of J
  first = {name: next(iter(tree.folders(root / name)), "") for name in there}
  if first and all(one.casefold().startswith(name.casefold()) for name, one in first.items()):
    logging.getLogger(__name__).warning(
      "warning: %s are taken as classes, and seem to be letters by which folders are sorted (%s): "
      "data.folder.labels=path takes all folders of a path as the class",
      *(" and ".join(names[:2]), "/".join(next(iter(first.items())))),
    )


def _of_forms(names: Sequence[str], root: Any, tree: Tree) -> None:
  """Says where classes may be two forms of one set: EuroSAT/River and EuroSATallBands/River."""
  if not 2 <= len(names) <= _MOST_FORMS or not names[1].startswith(names[0]):
    return
  inside = [tree.folders(root / name) if tree.is_folder(root / name) else [] for name in names]
  if len(inside[0]) > 1 and all(some == inside[0] for some in inside):
    logging.getLogger(__name__).warning(
      "warning: %s are taken as classes, and hold folders of the same names (%s, ...): if these "
      "are the classes set data.folder.path to one of them",
      *(" and ".join(names[:2]), inside[0][0]),
    )
