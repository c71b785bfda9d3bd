"""The test images of GTSRB, whose classes are in a list beside them."""

import codecs
import logging
import re
from collections.abc import Iterable
from typing import Any

from contrastive_jax.data import list_columns, rows, splits
from contrastive_jax.data.any_case import AnyCase
from contrastive_jax.data.rows import Row

_LISTS = (  # file, column of images, a file beside it: as it is downloaded, and as a site packs it
  ("GT-final_test.csv", "Filename", ""),
  ("Test.csv", "Path", "Meta.csv"),
)
_CORNER = "Roi.X1"  # of the sign in its image, which lists of other sets do not have


def classes(
  split: Any, base: Any, given: Any, tree: AnyCase, version: int, folders: Iterable[str]
) -> tuple[str, list[Row]] | None:
  """Returns the list of a split and its rows; None: it is none of GTSRB's test images.

  Args:
    split: its folder.
    base: that of the set.
    given: the folder that a user named, `base` or above.
    tree: in which they lie.
    version: of what is known; up to 2 two columns were enough, and padding was that of the names.
    folders: classes of training images, by which numbers are written.
  """
  name = split.name.casefold()
  if name not in ("final_test", "test") and (version < 3 or splits.kind(name) != "test"):
    return None
  for place in dict.fromkeys((split, split / "Images", base, given)):
    for file, image, beside in _LISTS:
      if not tree.is_file(place / file) or beside and not tree.is_file(place / beside):
        continue
      content = tree.content(place / file)
      first = content[:1000].removeprefix(codecs.BOM_UTF8)
      wanted = {"ClassId", image} | ({_CORNER} if version >= 3 else set())
      if {column.encode() for column in wanted} <= set(re.split(rb"[;,\r\n]", first)):
        found = rows.parsed(
          content, file, list_columns.Columns(image, "ClassId", list_columns.NONE), "data.table"
        )
        found = [row._replace(name=row.name.rpartition("/")[2]) for row in found]
        if version < 3:
          width = 0 if beside else 5
          return file, [row._replace(label=row.label.zfill(width)) for row in found]
        return _as_folders(file, found, sorted(folders), split)
  return None


def _as_folders(
  file: str, found: list[Row], folders: list[str], split: Any
) -> tuple[str, list[Row]] | None:
  """Returns rows with numbers as the folders have them: 00007, or 7; None: these are no numbers."""
  named = {int(name): name for name in folders if name.isascii() and name.isdecimal()}
  if len(named) < len(folders):
    other = next(name for name in folders if name not in named.values())
    logging.getLogger(__name__).warning(
      "warning: %s numbers classes, and training images lie in folders such as %r: those in %s are "
      "taken without labels; call the folders by the numbers of their classes",
      *(file, other, split),
    )
    return None
  width = min((len(name) for name in named.values()), default=0)
  return file, [
    row._replace(label=named.get(int(row.label), row.label.zfill(width)))
    if row.label.isdecimal()
    else row
    for row in found
  ]
