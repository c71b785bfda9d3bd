"""Which columns of a table are image and label, by their types and what `datasets` says of them."""

import dataclasses
import json
import logging
from typing import Any

from contrastive_jax import errors

_IMAGES = ("image", "img", "jpg", "png", "picture", "photo")  # names, the first that is there
_LABELS = ("label", "labels", "class", "cls", "fine_label")


@dataclasses.dataclass(frozen=True)
class Columns:
  """What is read of each row.

  Attributes:
    image: its column.
    leaves: what is read of it: of a struct the bytes and the path, each if it is there.
    label: its column; "": none.
    names: of classes.
    factors: further columns of classes.
  """

  image: str
  leaves: tuple[str, ...]
  label: str
  names: tuple[str, ...]
  factors: tuple[str, ...]

  def image_of(self, tables, file: int, row: int) -> tuple[bytes | None, str | None]:
    """Returns the bytes of an image, or None and the path of its file, or neither."""
    found = [tables.cell(file, row, leaf) for leaf in self.leaves]
    content = next((value for value in found if isinstance(value, bytes) and value), None)
    return content, next((value for value in found if isinstance(value, str) and value), None)


def chosen(schema, file: str, image: str, label: str) -> Columns:
  """Returns the columns of images and labels.

  Args:
    schema: of PyArrow.
    file: it is of, in errors.
    image, label: as they were asked for, see `parquet.Options`.

  Raises:
    UserError: there is none such, or several could be it.
  """
  described = _described(schema)
  image = image or _image(schema, described, file)
  if image not in schema.names:
    raise errors.UserError(
      f"{file} has no column {image!r} but {', '.join(schema.names)}; set data.parquet.image"
    )
  leaves = _leaves(schema.field(image))
  if not leaves:
    raise errors.UserError(
      f"{file}: the column {image} is {schema.field(image).type}, and an image is the bytes of a "
      "file, a struct of bytes and path, or a path; set data.parquet.image"
    )
  classes = class_names(schema)
  if not label:
    label = _label(schema, classes, file, image)
  elif label == "none":
    label = ""
  elif label not in schema.names:
    raise errors.UserError(
      f"{file} has no column {label!r} but {', '.join(schema.names)}; set data.parquet.label"
    )
  elif not _is_class(schema.field(label)):
    raise errors.UserError(
      f"{no_classes(label, schema, file)}; set data.parquet.label, to none for no labels"
    )
  factors = tuple(n for n in classes if n != label and _is_number(schema.field(n)))
  return Columns(image, leaves, label, tuple(map(str, classes.get(label) or ())), factors)


def _label(schema, classes: dict[str, Any], file: str, image: str) -> str:
  """Returns the column of labels where nobody names one; "": none. One that cannot be is told."""
  called = [n for n in _LABELS if n in schema.names]
  ways = (
    [n for n in called if n in classes],
    [n for n in called if _is_number(schema.field(n)) or str(schema.field(n).type) == "bool"],
    list(classes)[:1] if len(classes) == 1 else [],
    [n for n in called if _is_class(schema.field(n))],
  )
  if found := next(filter(None, ways), None):
    return found[0]
  if classes:
    raise errors.UserError(
      f"{file} has several columns of classes, {', '.join(classes)}; set data.parquet.label"
    )
  for name in called:
    if str(schema.field(name).type) != "null":
      tell_of_no_classes(name, schema, file)
      break
  can_be = [field.name for field in schema if _is_class(field) and field.name != image]
  if not called and can_be:
    logging.getLogger(__name__).warning(
      "warning: %s has no column of labels, such as label, but %s: images are taken without; set "
      "data.parquet.label to one, or to none",
      *(file, ", ".join(can_be)),
    )
  return ""


def no_classes(name: str, schema, file: str) -> str:
  """Returns what is said of a column that cannot be that of labels."""
  return f"{file}: the column {name} is {schema.field(name).type}, no class number and no text"


def tell_of_no_classes(name: str, schema, file: str) -> None:
  """Says that images are taken without labels, though a column is called like one of labels."""
  logging.getLogger(__name__).warning(
    "warning: %s: images are taken without labels; set data.parquet.label to another, or none",
    no_classes(name, schema, file),
  )


def class_names(schema) -> dict[str, Any]:
  """Returns the columns that `datasets` calls classes, with the names of these, if it has them."""
  classes = {n: d for n, d in _described(schema).items() if d.get("_type") == "ClassLabel"}
  return {n: found.get("names") for n, found in classes.items() if n in schema.names}


def _described(schema) -> dict[str, dict[str, Any]]:
  """Returns what `datasets` says of each column; {} where it says nothing, or it is damaged."""
  try:
    said = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    return {name: value for name, value in said.items() if isinstance(value, dict)}
  except (KeyError, ValueError, TypeError, AttributeError):
    return {}


def _image(schema, described, file: str) -> str:
  said = [n for n, d in described.items() if d.get("_type") == "Image" and n in schema.names]
  can_be = said or [n for n in schema.names if _holds_bytes(schema.field(n))]
  named = [n for n in _IMAGES if n in can_be]
  if named or len(can_be) == 1:
    return (named or can_be)[0]
  raise errors.UserError(
    f"{file} has {'several columns' if can_be else 'no column'} of image bytes"
    f"{': ' + ', '.join(can_be) if can_be else ''} (columns: {', '.join(schema.names)}); set "
    "data.parquet.image, to one of bytes or of paths"
  )


def _leaves(field) -> tuple[str, ...]:
  """Returns the leaves of a column that can hold images; () if it cannot."""
  kind = str(field.type)
  if kind in _BYTES or kind in _TEXTS:
    return (field.name,)
  if kind.startswith("struct"):
    inside = {field.type.field(i).name: field.type.field(i) for i in range(field.type.num_fields)}
    found = [
      n
      for n, kinds in (("bytes", _BYTES), ("path", _TEXTS))
      if n in inside and str(inside[n].type) in kinds
    ]
    return tuple(f"{field.name}.{name}" for name in found)
  return ()


_BYTES = ("binary", "large_binary", "binary_view")
_FLOATS = ("halffloat", "float", "double")  # of whole numbers, where some are missing
_TEXTS = ("string", "large_string", "string_view")


def _holds_bytes(field) -> bool:
  return str(field.type) in _BYTES or f"{field.name}.bytes" in _leaves(field)


def _is_number(field) -> bool:
  return str(field.type).removeprefix("u") in ("int8", "int16", "int32", "int64")


def _is_class(field) -> bool:
  kind = str(field.type)
  texts = kind in _TEXTS or kind.startswith("dictionary")
  return _is_number(field) or kind == "bool" or kind in _FLOATS or texts
