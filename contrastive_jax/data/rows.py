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
from contrastive_jax.data import json_lists, list_classes, list_columns, one_hot
from contrastive_jax.data.list_columns import ANY, TABLE, Columns

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".txt")
_JSON = (".jsonl", ".ndjson", ".json")
_FIRST_WORD = "predictionstring"  # of Kaggle's ImageNet: the class and the corners of a box
_SEPARATOR = re.compile(r'"?sep=([^\w\s"]|\t)"?[ ]*(?:\r\n|\r|\n|$)', re.IGNORECASE)  # of Excel
_LONGEST_FIELD = 2**20  # letters


class Row(NamedTuple):
  line: int  # from 1, where it stands
  name: str  # of the image; "": it is the next one in order of the names
  label: str  # "": none
  split: str  # "": the list has no such column


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
    if (
      len(found[0][1]) == 1
      and not list_columns.are_named(found[0][1], columns)
      and not columns.image
    ):
      if not found[0][1][0].lower().endswith(tuple(images)):
        return with_booleans_alike([Row(line, "", fields[0], "") for line, fields in found])
    header, lines = _with_header(found, file, columns, tuple(images))
  if one_hot.asked(columns.label, header):
    others = [list_columns.place(header, what, columns) for what in ("image", "split")]
    option = f"{key}.label_column"
    header, lines = one_hot.joined(header, list(lines), columns.label, others, file, option)
  where = list_columns.places(header, file, columns, key)
  first_word = (
    where["label"] is not None and list_columns.folded(header[where["label"]]) == _FIRST_WORD
  )
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
  at, image = list_columns.place(header, "label", ANY), list_columns.place(header, "image", ANY)
  found = [] if at is None else [header[at]]
  others = [name for i, name in enumerate(header) if name and i not in (at, image)]
  return found + (others if any_name else [])


def _without_nan(rows: list[Row]) -> list[Row]:
  """Returns rows in which nan, NA and null, as tables write a missing number, are no classes."""

  def is_none(label: str) -> bool:
    return label in list_classes.NOT_KNOWN or label.casefold() == "nan"

  others = {row.label for row in rows if row.label and not is_none(row.label)}
  if any(list_classes.number(label) is None for label in others):  # bread, or Namibia
    return rows
  found = (row for row in rows if others and row.label in list_classes.NOT_KNOWN)
  if first := next(found, None):
    logging.getLogger(__name__).warning(
      "warning: line %d has the label %r beside numbers: this and others written so are taken as "
      "none; if it is a class call it otherwise",
      *(first.line, first.label),
    )
  none = is_none if others else lambda label: label.casefold() == "nan"
  return [row._replace(label="") if none(row.label) else row for row in rows]


def with_booleans_alike(rows: list[Row]) -> list[Row]:
  """Returns rows whose labels true and false, if there are no others, have one spelling each.

  pandas writes True, Excel TRUE and JSON true. Where each has one spelling it is kept: by it the
  classes are ordered.
  """
  if not list_classes.are_booleans_apart({row.label for row in rows if row.label}):
    return rows
  return [row._replace(label=row.label.casefold()) for row in rows]


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
    known = key == TABLE or key and what == "label"
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
  if not named or list_columns.are_named(first, columns):
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


def _relative(name: str) -> str:
  """Returns a path as this system writes it."""
  if "\\" in name and "/" not in name:  # written on Windows
    name = name.replace("\\", "/")
  while name.startswith("./"):
    name = name[2:]
  return name
