"""Lists of images as people write them: CSV, JSON lines, or lines of text with a label on each.

A line names an image and, if known, its class and its split. What is wrong with a list is told with
the number of the line.
"""

import csv
import io
import json
import logging
import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from contrastive_jax import errors, plural
from contrastive_jax.data import json_lists, one_hot
from contrastive_jax.data.labels import distinct, tell_alike

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".txt")
_MAY_BE_SPLIT = re.compile(r"(is_)?(train|val|valid|validation|test)(ing)?(_img)?|fold|phase|usage")
_TABLE = "data.table"  # the section of a config that names every column; others that of labels
BOOLEANS = frozenset({"true", "false"})
NONE = "none"  # in place of a column: the list has it, and it is not to be read
_JSON = (".jsonl", ".ndjson", ".json")
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
_FIRST_WORD = "predictionstring"  # of Kaggle's ImageNet: the class and the corners of a box
_SEPARATOR = re.compile(r'"?sep=([^\w\s"]|\t)"?[ ]*(?:\r\n|\r|\n|$)', re.IGNORECASE)  # of Excel
_LONGEST_FIELD = 2**20  # letters


class Row(NamedTuple):
  line: int  # from 1, where it stands
  name: str  # of the image; "": it is the next one in order of the names
  label: str  # "": none
  split: str  # "": the list has no such column


class Columns(NamedTuple):
  """Names of columns; "": found by the usual ones, `NONE`: not read."""

  image: str = ""
  label: str = ""
  split: str = ""


ANY = Columns()


def parsed(
  content: bytes, file: str, columns: Columns = ANY, key: str = "", images: Sequence[str] = ()
) -> list[Row]:
  """Returns the rows of a list.

  Args:
    content: of the file.
    file: its name, by whose suffix it is read, and how an error calls it.
    columns: to be read.
    key: of a config, whose options `key.image_column`, ... name columns: for errors.
    images: suffixes of files of images, by which a first line is told from names of columns.

  Raises:
    UserError: it is no such list; the message has the number of the line.
  """
  text = _text(content, file)
  if file.lower().endswith(_JSON):
    header, lines = json_lists.parsed(text, file, tuple(images))
  else:
    found = list(_of_text(text, file, tuple(images)))
    if not found:
      raise errors.UserError(f"{file} holds no line; it must name an image on each")
    if len(found[0][1]) == 1 and not _named(found[0][1], columns) and not columns.image:
      if not found[0][1][0].lower().endswith(tuple(images)):
        return with_booleans_alike([Row(line, "", fields[0], "") for line, fields in found])
    header, lines = _with_header(found, file, columns, tuple(images))
  if one_hot.asked(columns.label, header):
    others = [_at(header, what, columns) for what in ("image", "split")]
    option = f"{key}.label_column"
    header, lines = one_hot.joined(header, list(lines), columns.label, others, file, option)
  where = _where(header, file, columns, key)
  first_word = where["label"] is not None and _folded(header[where["label"]]) == _FIRST_WORD
  rows = []
  for line, fields in lines:
    name, label, split = (
      "" if at is None else _value(fields[at], f"{file}, line {line}", what, key, header[at])
      for what, at in where.items()
    )
    if not name:
      raise errors.UserError(
        f"{file}, line {line}: no image is named there; fill it in or remove it"
      )
    if first_word:
      label = (label.split() or [""])[0]
    if label in ("-1", "-1.0"):  # as in arrays
      label = ""
    rows.append(Row(line, _relative(name), label, split))
  if not rows:
    raise errors.UserError(f"{file} names no image below its header; it must name one on each line")
  return with_booleans_alike(_without_nan(rows))


def columns_of_labels(
  content: bytes, file: str, images: Sequence[str] = (), any_name: bool = False
) -> list[str]:
  """Returns the columns that may be that of labels: the one that is called so, or all others too.

  The other arguments and errors are those of `parsed`.
  """
  text = _text(content, file)
  if file.lower().endswith(_JSON):
    header = json_lists.parsed(text, file, tuple(images))[0]
  else:
    header = _with_header(list(_of_text(text, file, tuple(images))), file, ANY, tuple(images))[0]
  at, image = _at(header, "label", ANY), _at(header, "image", ANY)
  found = [] if at is None else [header[at]]
  others = [name for i, name in enumerate(header) if name and i not in (at, image)]
  return found + (others if any_name else [])


def _without_nan(rows: list[Row]) -> list[Row]:
  """Returns rows in which "nan", as tables write a number that is missing, is no class."""
  others = {row.label for row in rows if row.label and row.label.casefold() != "nan"}
  if any(_number(label) is None for label in others):  # bread, perhaps
    return rows
  return [row._replace(label="") if row.label.casefold() == "nan" else row for row in rows]


def with_booleans_alike(rows: list[Row]) -> list[Row]:
  """Returns rows whose labels true and false, if there are no others, have one spelling each.

  pandas writes True, Excel TRUE and JSON true. Where each has one spelling it is kept: by it the
  classes are ordered.
  """
  if not _are_booleans_apart({row.label for row in rows if row.label}):
    return rows
  return [row._replace(label=row.label.casefold()) for row in rows]


def _are_booleans_apart(labels: set[str]) -> bool:
  """Returns whether labels are true and false alone, and one of these is spelt in several ways."""
  words = {label.casefold() for label in labels}
  return words <= BOOLEANS and len(words) < len(labels)


def classes(labels: Sequence[str], what: str) -> tuple[str, ...]:
  """Returns the names of the classes, in order: numbers by size, all others by their bytes.

  Raises:
    UserError: each image has a label of its own, which names images and no classes.
  """
  given = [label for label in labels if label]
  names = set(given)
  distinct(len(names), len(given), what)
  found = in_order(names)
  tell_alike(found, what)
  return found


def in_order(names: set[str]) -> tuple[str, ...]:
  """Returns the names of classes in their order, numbers and booleans in one spelling."""
  if _are_booleans_apart(names):
    return tuple(sorted({name.casefold() for name in names}))
  if all(_number(name) is not None for name in names):
    return tuple(sorted({str(_number(name)) for name in names}, key=int))
  return tuple(sorted(names, key=lambda name: name.encode("utf-8", "surrogateescape")))


def by_name(rows: Sequence[Row], file: str) -> dict[str, Row]:
  """Returns each image's row; one that is named again, in the same words, counts once.

  Raises:
    UserError: an image has two labels, or is in two splits.
  """
  found: dict[str, Row] = {}
  for row in rows:
    first = found.setdefault(row.name, row)
    if (first.label, first.split) != (row.label, row.split):
      what = "label" if first.label != row.label else "split"
      one, other = getattr(first, what), getattr(row, what)
      raise errors.UserError(
        f"{file}, lines {first.line} and {row.line}: {row.name} has the {what} {one!r} and "
        f"{other!r}; leave one"
      )
  return found


def class_of(label: str, numbers: dict[str, int]) -> int:
  """Returns the number of a label's class; -1: none.

  "3.0", as tables write it, is 3, and "True" is true where that is how both are called.
  """
  if not label:
    return -1
  found = numbers.get(label)
  if found is None and label.casefold() in BOOLEANS:
    found = numbers.get(label.casefold())
  return numbers[str(_number(label))] if found is None else found


def _number(text: str) -> int | None:
  match = re.fullmatch(r"(\d{1,18})(\.0+)?", text)
  return int(match[1]) if match else None


def _text(content: bytes, file: str) -> str:
  if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
    raise errors.UserError(f"{file} is UTF-16; save it as UTF-8 (CSV UTF-8)")
  try:
    text = content.decode("utf-8-sig")
  except UnicodeDecodeError as error:
    line = content.count(b"\n", 0, error.start) + 1
    raise errors.UserError(
      f"{file}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8; save the list as UTF-8"
    ) from error
  if "\0" in text:
    line = text.count("\n", 0, text.index("\0")) + 1
    raise errors.UserError(f"{file}, line {line}: a zero byte; it is no list of text")
  return text


def _value(value: object, place: str, what: str, key: str, column: str) -> str:
  """Returns a field as text; "" for none. Raises UserError: it holds several."""
  if value is None or isinstance(value, float) and math.isnan(value):
    return ""
  if isinstance(value, list | dict):
    known = key == _TABLE or key and what == "label"
    inner = next(iter(value), "") if isinstance(value, dict) else ""
    inner = inner and f"{column}.{inner}, to "
    other = f"set {key}.{what}_column to {inner}another column" if known else "write one"
    raise errors.UserError(
      f"{place}: the {what} {json_lists.short(value)} is no text and no number; {other}"
      f"{', or none' if known and what != 'image' else ''}"
    )
  return value if isinstance(value, str) else json.dumps(value)


def _of_text(text: str, file: str, images: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
  """Yields (line, fields) of every line that is not empty."""
  if file.lower().endswith(".txt"):
    for number, line in enumerate(map(str.strip, json_lists.LINE_END.split(text)), 1):
      if line:
        yield number, _words(line, images)
    return
  said, before = _SEPARATOR.match(text), 0
  if said:
    mark, text, before = said[1], text[said.end() :], 1
  else:
    first = next(filter(str.strip, text.split("\n")), "")
    mark = "\t" if file.lower().endswith(".tsv") else max(",;\t", key=first.count)
  begun = before + 1
  limit = csv.field_size_limit(_LONGEST_FIELD)
  reader = csv.reader(
    io.StringIO(text, newline=""), delimiter=mark, strict=True, skipinitialspace=True
  )
  try:
    for fields in reader:
      if any(field.strip() for field in fields):
        yield begun, [field.strip() for field in fields]
      begun = reader.line_num + before + 1
  except csv.Error as error:
    raise errors.UserError(
      f"{file}, line {begun}: {error}; a field that holds a quotation mark or the separator stands "
      'in quotation marks, and marks inside are doubled ("")'
    ) from error
  finally:
    csv.field_size_limit(limit)


def _words(line: str, images: tuple[str, ...]) -> list[str]:
  """Returns the fields of a line of text: tabs or commas part them, or spaces an image's label."""
  for mark in "\t,":
    if mark in line:
      return [field.strip() for field in line.split(mark)]
  name, _, label = line.rpartition(" ")
  return [name.strip(), label] if name.strip().lower().endswith(images) and images else [line]


def _with_header(
  found: list[tuple[int, list[str]]], file: str, columns: Columns, images: tuple[str, ...]
) -> tuple[list[str], list[tuple[int, list[str]]]]:
  first = found[0][1]
  for line, fields in found:
    if len(fields) != len(first):
      raise errors.UserError(
        f"{file}, line {line}: {plural.of(len(fields), 'field')}, and line {found[0][0]} has "
        f"{len(first)}; put fields that hold the separator in quotation marks"
      )
  named = [i for i, field in enumerate(first) if field.lower().endswith(images)] if images else []
  if not named or _named(first, columns):
    return first, found[1:]
  # No header: the image is told by its suffix, and what stands beside it is its class.
  header = [f"column {i + 1}" for i in range(len(first))]
  header[named[0]] = "image"
  rest = [i for i in range(len(first)) if i != named[0]]
  if len(rest) > 1:
    raise errors.UserError(
      f"{file}, line {found[0][0]}: {len(first)} fields and no header; write the names of columns "
      "into the first line, e.g. path,label,split"
    )
  if rest:
    header[rest[0]] = "label"
  return header, found


def _named(first: list[str], columns: Columns) -> bool:
  """Returns whether a first line holds names of columns."""
  known = {name for names in _NAMES_OF.values() for name in names} | {
    _folded(c) for c in columns if c
  }
  return any(_folded(field) in known for field in first)


def _folded(name: str) -> str:
  return re.sub(r"[ -]+", "_", name.strip().casefold())


def _where(header: list[str], file: str, columns: Columns, key: str) -> dict[str, int | None]:
  """Returns the numbers of the columns that are read. Raises UserError: there is none of images."""
  for what, given in columns._asdict().items():
    if given not in ("", NONE, *header):
      raise errors.UserError(
        f"{file} has no column {given!r} but {', '.join(map(repr, header))}; set "
        f"{key}.{what}_column to one"
      )
  found = {what: _at(header, what, columns) for what in _NAMES_OF}
  if found["image"] is None:
    by = f" by {key}.image_column" if key == _TABLE else ""
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


def _at(header: list[str], what: str, columns: Columns) -> int | None:
  """Returns the number of the column of images, labels or splits; None: there is none."""
  given = getattr(columns, what)
  if given:
    return header.index(given) if given in header and given != NONE else None
  folded = [_folded(name) for name in header]
  return next((folded.index(name) for name in _NAMES_OF[what] if name in folded), None)


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
  meant = next((name for name in others if _MAY_BE_SPLIT.fullmatch(_folded(name))), None)
  if found["split"] is None and columns.split != NONE and meant is not None and key == _TABLE:
    log.warning(
      "warning: %s: the column %r may say of which split an image is and is not read, so all are "
      "of split train; write train and test there and name it by %s.split_column, or set that to "
      "none",
      *(file, meant, key),
    )


def _shown(header: list[str]) -> str:
  return ", ".join(map(json_lists.short, header))


def _relative(name: str) -> str:
  """Returns a path as this system writes it."""
  if "\\" in name and "/" not in name:  # written on Windows
    name = name.replace("\\", "/")
  while name.startswith("./"):
    name = name[2:]
  return name
