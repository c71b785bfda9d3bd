"""Hyper-parameters as fields of frozen dataclasses, each with its one line of documentation."""

import dataclasses
import numbers
import types
import typing
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict, config_dict

from contrastive_jax import errors

_ONE = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
_MANY = {int: "whole numbers", float: "numbers", str: "words", tuple: "tuples"}


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
      kinds = _kinds(annotations[field.name])
      kind = kinds[0] if len(kinds) == 1 else object  # which takes anything: see check
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
  kinds = _kinds(annotation)
  word = " or ".join((typing.get_origin(kind) or kind).__name__ for kind in kinds)
  return word if kinds == [annotation] else f"{word}, optional"


def check(cls: type, values: Mapping[str, Any], prefix: str = "") -> None:
  """Raises `UserError` if a value is not of its field's type, the elements of tuples included.

  A flag for a tuple takes anything, and so does a notebook.

  Args:
    cls: a dataclass.
    values: by prefix + field name; others are not looked at.
  """
  annotations = typing.get_type_hints(cls)
  for field in dataclasses.fields(cls):
    key, annotation = prefix + field.name, annotations[field.name]
    if key in values and not _fits(annotation, values[key]):
      raise errors.UserError(
        f"{key} {values[key]!r} is not {_words(annotation)}; the default is {field.default!r}"
      )


def _fits(annotation: Any, value: Any) -> bool:
  parts = typing.get_args(annotation)
  if isinstance(annotation, types.UnionType):
    return any(_fits(part, value) for part in parts)
  if typing.get_origin(annotation) is tuple:
    if not isinstance(value, tuple | list):
      return False
    if parts[-1] is Ellipsis:
      return all(_fits(parts[0], v) for v in value)
    return len(parts) == len(value) and all(map(_fits, parts, value))
  if annotation in (int, float):
    kind = numbers.Integral if annotation is int else numbers.Real
    return isinstance(value, kind) and not isinstance(value, bool)
  return isinstance(value, (tuple, list) if annotation is tuple else annotation)


def _words(annotation: Any) -> str:
  """Says what a user has to give, e.g. "a tuple of 2 numbers"."""
  if typing.get_origin(annotation) is tuple:
    first, *_, last = typing.get_args(annotation)
    count = "" if last is Ellipsis else f"{len(typing.get_args(annotation))} "
    return f"a tuple of {count}{_MANY[first]}"
  return " or ".join(_ONE[kind] for kind in _kinds(annotation))


def _kinds(annotation: Any) -> list[Any]:
  """Returns the types that a value may have, None left out."""
  if typing.get_origin(annotation) in (typing.Union, types.UnionType):
    return [a for a in typing.get_args(annotation) if a is not types.NoneType]
  return [annotation]
