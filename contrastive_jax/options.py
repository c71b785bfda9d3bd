"""Hyper-parameters as fields of frozen dataclasses, each with its one line of documentation."""

import dataclasses
import difflib
import functools
import numbers
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict, config_dict

from contrastive_jax import errors

_ONE = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
_MANY = {int: "whole numbers", float: "numbers", str: "words", tuple: "tuples"}
_LEAST_SCALE, _MOST_SCALE = 1e-3, 1e3


class Section(ConfigDict):
  """Typed keys. Once locked it takes no other: a misspelt one is refused with the nearest."""

  def __setitem__(self, key: str, value: Any) -> None:
    if self.is_locked and key not in self:
      parts = [(name, part) for name, part in self.items() if isinstance(part, ConfigDict)]
      inside = (f"{name}.{inner}" for name, part in parts for inner in part)
      raise KeyError(f"config has no key {key}{nearest(key, [*self, *inside])}")
    super().__setitem__(key, value)

  def __repr__(self) -> str:
    return rows({key: self[key] for key in self if not isinstance(self[key], ConfigDict)})

  __str__ = __repr__


def nearest(key: str, known: Iterable[str], prefix: str = "") -> str:
  """Returns "; did you mean ...?" with the key most like `key`, or "" if none is.

  One of a section may be meant by its last name alone.
  """
  known = list(known)
  ends = {name.split(".")[-1]: name for name in reversed(known)}
  found = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
  found = found or [
    ends[end] for end in difflib.get_close_matches(key.split(".")[-1], ends, n=1, cutoff=0.8)
  ]
  return f"; did you mean {prefix}{found[0]}?" if found else ""


def rows(values: Mapping[str, Any]) -> str:
  """Returns a line a value, "key  value", the values under each other."""
  width = max(map(len, values), default=0)
  return "\n".join(f"{key:{width}}  {_shown(value)}" for key, value in values.items())


def table(rows: list[tuple[str, str, Any, str]]) -> str:
  """Returns a line a row, (key, type, value, line) each under the other."""
  texts = [
    (key, kind, "" if value is None else str(value), line) for key, kind, value, line in rows
  ]
  widths = [min(max(len(row[i]) for row in texts), 44) for i in range(3)]
  lines = []
  for row in texts:
    cells = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
    lines.append("  ".join([*cells, row[3]]).rstrip())
  return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
  return "unset" if value is None else str(value)


def as_flag(value: Any) -> str:
  """Returns a value as a flag takes it: a tuple of one word as the word, others in Python."""
  if isinstance(value, tuple | list):
    word = len(value) == 1 and isinstance(value[0], str)
    return value[0] if word else repr(tuple(value))
  return str(value)


def option(default: Any, doc: str, *, identity: bool = True) -> Any:
  """Returns a dataclass field with a default and the line that `--help_config` prints.

  Args:
    default: value of a key that is not set.
    doc: the line.
    identity: whether another value makes another run, so that one under way cannot take it on.
      False for what only says where files lie, how work is done, or what is watched and kept.
  """
  return dataclasses.field(default=default, metadata={"doc": doc, "identity": identity})


_types = functools.cache(typing.get_type_hints)  # of a class: it takes half of the time of a config


def section(cls: type, **values: Any) -> Section:
  """Builds the config section of a dataclass from its defaults, with `values` in their place.

  A field that may be None becomes a typed placeholder, so that a flag can still set it.
  """
  result = Section()
  annotations = _types(cls)
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


def not_of_identity(cls: type, prefix: str = "") -> set[str]:
  """Returns prefix + field name of every option that may change while a run goes on."""
  return {prefix + f.name for f in dataclasses.fields(cls) if not f.metadata.get("identity", True)}


def kind_name(cls: type, name: str) -> str:
  """Returns the type of a field as a user would write it, e.g. "float" or "str, optional"."""
  annotation = _types(cls)[name]
  kinds = _kinds(annotation)
  word = " or ".join((typing.get_origin(kind) or kind).__name__ for kind in kinds)
  return word if kinds == [annotation] else f"{word}, optional"


def check_scale(key: str, value: float, hint: str) -> None:
  """Raises `UserError`, which ends in a `hint`, unless a temperature or the like makes sense.

  Beyond these limits the softmax of similarities in float32 is that of 0 or of infinity.
  """
  if not _LEAST_SCALE <= value <= _MOST_SCALE:
    raise errors.UserError(f"{key} {value} is outside {_LEAST_SCALE:g} to {_MOST_SCALE:g}; {hint}")


def check(cls: type, values: Mapping[str, Any], prefix: str = "") -> None:
  """Raises `UserError` if a value is not of its field's type, the elements of tuples included.

  A flag for a tuple takes anything, and so does a notebook.

  Args:
    cls: a dataclass.
    values: by prefix + field name; others are not looked at.
  """
  annotations = _types(cls)
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
    return isinstance(value, kind) and not isinstance(value, bool) and value == value  # no NaN
  return isinstance(value, (tuple, list) if annotation is tuple else annotation)


def _words(annotation: Any) -> str:
  """Says what a user has to give, e.g. "a tuple of 2 numbers"."""
  if typing.get_origin(annotation) is tuple:
    first, *_, last = typing.get_args(annotation)
    count = "" if last is Ellipsis else f"{len(typing.get_args(annotation))} "
    return f"a tuple of {count}{_MANY[first]}"
  return " or ".join(_ONE[kind] for kind in _kinds(annotation))


def word(kind: type) -> str:
  """Says what a user has to give for a value of this type, e.g. "a whole number"."""
  return _ONE.get(kind, "a tuple" if kind is tuple else "a section" if kind is Section else "")


def _kinds(annotation: Any) -> list[Any]:
  """Returns the types that a value may have, None left out."""
  if typing.get_origin(annotation) in (typing.Union, types.UnionType):
    return [a for a in typing.get_args(annotation) if a is not types.NoneType]
  return [annotation]
