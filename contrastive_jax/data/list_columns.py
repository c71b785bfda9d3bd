"""Which columns of a list are images, labels and splits: by option, or by their usual names."""

import logging
import re
from typing import NamedTuple

from contrastive_jax import errors
from contrastive_jax.data import json_lists

TABLE = "data.table"  # the section of a config that names every column; others that of labels
NONE = "none"  # in place of a column: the list has it, and it is not to be read
_NAMES_OF = {
  "image": (
    *("image", "path", "file", "filename", "file_name", "filepath", "file_path", "image_path"),
    *("img_path", "image_name", "image_file", "img", "imageid", "image_id", "id", "name", "fname"),
  ),
  "label": (
    *("label", "class", "target", "category", "species", "breed", "class_name", "label_name"),
    *("classname", "labels", "class_id", "label_id", "y", "predictionstring"),
  ),
  "split": ("split", "set", "subset", "partition", "data_set", "dataset"),
}
_MAY_BE_SPLIT = re.compile(r"(is_)?(train|val|valid|validation|test)(ing)?(_img)?|fold|phase|usage")


class Columns(NamedTuple):
  """Names of columns; "": found by the usual ones, `NONE`: not read."""

  image: str = ""
  label: str = ""
  split: str = ""


ANY = Columns()


def are_named(first: list[str], columns: Columns) -> bool:
  """Returns whether a first line holds names of columns."""
  known = {name for names in _NAMES_OF.values() for name in names} | {
    folded(c) for c in columns if c
  }
  return any(folded(field) in known for field in first)


def folded(name: str) -> str:
  """Returns the name of a column as it is compared: Image Path is image_path."""
  return re.sub(r"[ -]+", "_", name.strip().casefold())


def places(header: list[str], file: str, columns: Columns, key: str) -> dict[str, int | None]:
  """Returns the numbers of the columns that are read. Raises UserError: there is none of images."""
  for what, given in columns._asdict().items():
    if given not in ("", NONE, *header):
      raise errors.UserError(
        f"{file} has no column {given!r} but {', '.join(map(repr, header))}; set "
        f"{key}.{what}_column to one"
      )
  found = {what: place(header, what, columns) for what in _NAMES_OF}
  if found["image"] is None:
    by = f" by {key}.image_column" if key == TABLE else ""
    raise errors.UserError(
      f"{file} has no column of images, such as path, among {_shown(header)}; name one{by}, or "
      "write path,label into the first line"
    )
  if key:
    _tell_of_unread(header, found, file, columns, key)
  elif found["label"] is None and len(header) > 1:
    logging.getLogger(__name__).warning(
      "warning: %s has no column of labels, such as label, among %s: images are taken without; "
      "call one so in its first line, or name it by data.source=table and data.table.label_column",
      *(file, _shown(header)),
    )
  return found


def place(header: list[str], what: str, columns: Columns) -> int | None:
  """Returns the number of the column of images, labels or splits; None: there is none."""
  given = getattr(columns, what)
  if given:
    return header.index(given) if given in header and given != NONE else None
  names = [folded(name) for name in header]
  return next((names.index(name) for name in _NAMES_OF[what] if name in names), None)


def _tell_of_unread(
  header: list[str], found: dict[str, int | None], file: str, columns: Columns, key: str
) -> None:
  """Says if no column is read as labels or splits, and another may be meant so."""
  log = logging.getLogger(__name__)
  others = [name for i, name in enumerate(header) if name and i not in found.values()]
  if found["label"] is None and columns.label != NONE and others:
    log.warning(
      "warning: %s has no column of labels, such as label, among %s: images are taken without; "
      "name one by %s.label_column (one_hot: a column a class, of 0 and 1), or set that to none",
      *(file, _shown(header), key),
    )
  meant = next((name for name in others if _MAY_BE_SPLIT.fullmatch(folded(name))), None)
  if found["split"] is None and columns.split != NONE and meant is not None and key == TABLE:
    log.warning(
      "warning: %s: the column %r may say of which split an image is and is not read, so all are "
      "of split train; write train and test there and name it by %s.split_column, or set that to "
      "none",
      *(file, meant, key),
    )


def _shown(header: list[str]) -> str:
  return ", ".join(map(json_lists.short, header))
