"""Hyper-parameters as fields of frozen dataclasses, each with its one line of documentation."""

import dataclasses
import types
import typing
from typing import Any

from ml_collections import ConfigDict, config_dict


def option(default: Any, doc: str) -> Any:
  """Returns a dataclass field with a default and the line that `--help_config` prints."""
  return dataclasses.field(default=default, metadata={"doc": doc})


def section(cls: type, **values: Any) -> ConfigDict:
  """Builds the config section of a dataclass from its defaults, with `values` in their place.

  A field that may be None becomes a typed placeholder, so that a flag can still set it.
  """
  result = ConfigDict()
  annotations = typing.get_type_hints(cls)
  for field in dataclasses.fields(cls):
    default = None if field.default is dataclasses.MISSING else field.default
    value = values.pop(field.name, default)
    if value is None:
      kind = _not_none(annotations[field.name])
      result[field.name] = config_dict.placeholder(typing.get_origin(kind) or kind)
    else:
      result[field.name] = value
  if values:
    raise TypeError(f"{cls.__name__} has no field {', '.join(values)}")
  return result


def docs(cls: type, prefix: str = "") -> dict[str, str]:
  """Returns {prefix + field name: its line} for every field of a dataclass."""
  return {prefix + f.name: f.metadata.get("doc", "") for f in dataclasses.fields(cls)}


def kind_name(cls: type, name: str) -> str:
  """Returns the type of a field as a user would write it, e.g. "float" or "str, optional"."""
  annotation = typing.get_type_hints(cls)[name]
  kind = _not_none(annotation)
  word = "tuple" if typing.get_origin(kind) is tuple else kind.__name__
  return word if kind is annotation else f"{word}, optional"


def _not_none(annotation: Any) -> Any:
  if typing.get_origin(annotation) in (typing.Union, types.UnionType):
    return next(a for a in typing.get_args(annotation) if a is not type(None))
  return annotation
