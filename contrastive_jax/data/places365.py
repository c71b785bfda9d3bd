"""Places365 as it is downloaded: a folder a split, and lists that number its categories.

Training images lie in folders of folders (c/church/indoor), of which a category is the whole path.
Of the 1.8 million in the list of them nothing is read: their folders say the same.
"""

from typing import Any, NamedTuple

from contrastive_jax import errors
from contrastive_jax.data import set_files, splits
from contrastive_jax.data.any_case import AnyCase
from contrastive_jax.data.rows import Row

CATEGORIES, VALIDATION = "categories_places365.txt", "places365_val.txt"
_FOLDERS = {  # of each split, the first that is there
  "train": ("data_large_standard", "data_large", "data_256_standard", "data_256"),
  "validation": ("val_large", "val_256"),
  "test": ("test_large", "test_256"),
}


class Found(NamedTuple):
  """What lies there."""

  folders: dict[str, Any]  # by split
  names: tuple[str, ...]  # of all categories, in the set's own order
  validation: list[Row]


def find(base: Any, tree: AnyCase) -> Found | None:
  """Returns the set in a folder; None: it is another. Raises UserError: a list is damaged."""
  if not tree.is_file(base / CATEGORIES):
    return None
  there = {
    split: next((tree.place(base / name) for name in names if tree.is_folder(base / name)), None)
    for split, names in _FOLDERS.items()
  }
  folders = {split: folder for split, folder in there.items() if folder is not None}
  if not folders:
    return None
  categories = set_files.lines(base / CATEGORIES, tree, columns=2)
  names = {number: name.strip("/") for _, (name, number, *_) in categories}
  found = []
  if "validation" in folders and tree.is_file(base / VALIDATION):
    for line, (name, number, *_) in set_files.lines(base / VALIDATION, tree, columns=2):
      if number not in names:
        raise errors.UserError(
          f"{base / VALIDATION}, line {line}: {number!r} is no number of {CATEGORIES}; copy the "
          "set again"
        )
      found.append(Row(line, name, names[number], ""))
  return Found(folders, tuple(names.values()), found)


def folder(found: Found, split: str, base: Any) -> Any:
  """Returns the folder of a split. Raises UserError: it is not there."""
  place = found.folders.get(splits.kind(split))
  if place is None:
    there = ", ".join(str(folder.name) for folder in found.folders.values())
    raise errors.NoSplit(
      f"{base} holds Places365 and of it {there}, no images of split {split!r}; name another split "
      "(--config.data.split, --config.data.eval_split)"
    )
  return place
