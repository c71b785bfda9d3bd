"""Lists with a column for each class, of 0 and 1: image,MEL,NV,BCC as of ISIC.

They are made lists with one column of labels, in which the class is the name of the column that
is 1.
"""

import logging
import re
from collections.abc import Callable, Sequence

from contrastive_jax import errors, plural
from contrastive_jax.data import json_lists

ANY = "one_hot"  # in place of a column: all that hold 0 and 1 alone
_SHOWN = 4  # columns that are 1
_MOST_SHOWN = 30  # columns of a list
_TELLS_SPLIT = re.compile("(is_?)?(train|val|valid|validation|test)(ing)?|fold")

Lines = Sequence[tuple[int, list[object]]]  # (line, values)


def asked(column: str, header: Sequence[str]) -> bool:
  """Returns whether a column of labels stands for several: none is called so."""
  return column not in header and (column == ANY or "," in column)


def joined(
  header: Sequence[str],
  lines: Lines,
  column: str,
  others: Sequence[int | None],
  file: str,
  option: str,
) -> tuple[list[str], Lines]:
  """Returns a list with one more column, of that name, which holds the class of each image.

  Args:
    header: names of columns.
    lines: of the list.
    column: `ANY`, or names of columns with commas between them.
    others: places of columns that are none of classes.
    file: how an error calls the list.
    option: of a config, by which columns are named.

  Raises:
    UserError: there are no such columns, one holds something else, or an image is of several.
  """
  given = [name.strip() for name in column.split(",") if name.strip()] if column != ANY else []
  absent = next((name for name in given if name not in header), None)
  if absent is not None:
    raise errors.UserError(
      f"{file} has no column {absent!r} but {_shown(header)}; set {option} to columns that it has"
    )
  places = [header.index(name) for name in given] or _of_bits(header, lines, others, file, option)
  if len(places) < 2:
    raise errors.UserError(
      f"{file} has not two columns that hold 0 and 1 alone among {_shown(header)}; "
      f"set {option} to the columns of classes, such as A,B, to one column of labels, or to none"
    )
  names = [header[place] for place in places]
  if not given:
    logging.getLogger(__name__).info(
      "%s: classes are the columns %s; %s names others", file, _shown(names, str), option
    )
  found, without = [], []
  for line, values in lines:
    bits = [_bit(values[place]) for place in places]
    if None in bits:
      place = places[bits.index(None)]
      raise errors.UserError(
        f"{file}, line {line}: the column {header[place]} holds {json_lists.short(values[place])}, "
        f"not 0 or 1; name other columns by {option}, or set that to none"
      )
    ones = [name for name, bit in zip(names, bits, strict=True) if bit]
    if len(ones) > 1:
      raise errors.UserError(
        f"{file}, line {line}: {' and '.join(ones[:_SHOWN])} are 1, and an image has one class "
        f"here; leave out the line, name by {option} columns of which one is 1, or set that to none"
      )
    if not ones:
      without.append(line)
    found.append((line, [*values, *(ones or [""])]))
  if without:
    said = plural.of(len(without), f"of {len(found):,} images is", f"of {len(found):,} images are")
    logging.getLogger(__name__).warning(
      "warning: %s: %s 1 in none of %s (line %d%s) and without a label; if that is a class give it "
      "a column",
      *(file, said, _shown(names, str), without[0], ", ..." if len(without) > 1 else ""),
    )
  return [*header, column], found


def _of_bits(
  header: Sequence[str], lines: Lines, others: Sequence[int | None], file: str, option: str
) -> list[int]:
  """Returns the places of columns that hold 0 and 1 alone, but for those that tell splits.

  A line says of one that does so in most lines alone, since images of that class would have none.
  """
  found, told = [], False
  for place in range(len(header)):
    if place in others or _TELLS_SPLIT.fullmatch(header[place].strip().casefold()):
      continue
    wrong = [(line, values[place]) for line, values in lines if _bit(values[place]) is None]
    if not wrong:
      found.append(place)
    elif 2 * len(wrong) < len(lines) and not told:
      logging.getLogger(__name__).warning(
        "warning: %s: the column %s is none of a class, for it holds 0 and 1 but in %s (line %d: "
        "%s); if it is one set that right, else name the columns by %s",
        *(file, header[place], plural.of(len(wrong), "line"), wrong[0][0]),
        *(json_lists.short(wrong[0][1]), option),
      )
      told = True
  return found


def _shown(names: Sequence[str], form: Callable[[str], str] = repr) -> str:
  more = len(names) - _MOST_SHOWN
  return ", ".join(map(form, names[:_MOST_SHOWN])) + (f", ... ({more:,} more)" if more > 0 else "")


def _bit(value: object) -> int | None:
  """Returns 0 or 1; None: it is neither."""
  text = str(value).strip().casefold()
  if text in ("true", "false"):
    return int(text == "true")
  try:
    number = float(text)
  except ValueError:
    return None
  return int(number) if number in (0.0, 1.0) else None
