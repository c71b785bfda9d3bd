"""The config of a run, read back from its folder and checked like one that is given.

A file can be damaged, be of another version of the package, or have been written by another hand.
"""

import json
from typing import Any

from contrastive_jax import catalogue, errors
from contrastive_jax import config as config_lib

# What every run has ever had; a key that came later was at its default.
_SECTIONS = ("method", "model", "augment", "optimizer", "data")
_NAMES = ("method.name", "model.name", "augment.recipe")


def parsed(text: str | bytes) -> dict[str, Any]:
  """Returns the object that a file of JSON holds.

  Raises:
    ValueError: it holds none; the message says in a few words what is wrong.
  """
  try:
    found = json.loads(text)
  except (ValueError, RecursionError) as error:  # not UTF-8, no JSON, nested too deeply
    raise ValueError(f"cannot be read ({type(error).__name__})") from error
  if not isinstance(found, dict):
    raise ValueError(f"holds a {type(found).__name__}, not an object of JSON")
  return found


def config(text: str | bytes) -> config_lib.Config:
  """Returns the config of a run that was written as `text`, complete and checked.

  Raises:
    ValueError: it holds no config; the message is as that of `parsed`.
    UserError: it does, and no run could have had it.
  """
  found = parsed(text)
  for name in _SECTIONS:
    if not isinstance(found.get(name), dict):
      raise errors.UserError(f"config has no section {name}")
  if "held_out" not in found["data"]:
    found["data"]["held_out"] = 0  # the run began before that was there, and trained on all images
  found["data"].setdefault("order", catalogue.order_before())
  if isinstance(found["data"].get("folder"), dict):
    found["data"]["folder"].setdefault("layout", catalogue.layout_before())
  try:
    values = _flat(found)
  except RecursionError as error:
    raise ValueError("cannot be read (RecursionError)") from error
  for name in _NAMES:
    if not isinstance(values.get(name), str):
      raise errors.UserError(f"{name} {values.get(name)!r} is no name")
  for name, known in (
    ("augment.recipe", catalogue.recipes()),
    ("data.source", catalogue.sources()),
  ):
    if values.get(name) not in known:
      raise errors.UserError(f"{name} {values.get(name)} is unknown")
  whole = config_lib.pretrain(*(values.pop(name) for name in _NAMES))
  config_lib.changed(whole, values)
  config_lib.check(whole)
  return whole


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
  """Returns {dotted key: value}; lists become tuples, as config files write them."""
  flat = {}
  for key, inner in value.items():
    if isinstance(inner, dict) and inner:  # an empty one is no section
      flat |= _flat(inner, f"{prefix}{key}.")
    else:
      flat[prefix + key] = _tuples(inner)
  return flat


def _tuples(value: Any) -> Any:
  return tuple(map(_tuples, value)) if isinstance(value, list) else value
