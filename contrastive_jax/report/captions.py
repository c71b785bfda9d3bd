"""The drawn parameters of a view in words: a short line for each operation that does something."""

from collections.abc import Mapping

import numpy as np

_BOX = {"top", "left", "height", "width"}  # of a crop, in pixels of the original

Params = Mapping[str, Mapping[str, np.ndarray]]


def of_view(params: Params) -> list[str]:
  """Returns a line for each operation that was applied, e.g. "crop: 20 x 18 at 3, 0"."""
  return [line for name, values in params.items() if (line := _line(name, values))]


def _line(name: str, values: Mapping[str, np.ndarray]) -> str:
  if "on" in values and not bool(values["on"]):
    return ""
  if values.keys() == _BOX:
    left, top, width, height = (_number(values[key]) for key in ("left", "top", "width", "height"))
    return f"{name}: {width} x {height} at {left}, {top}"
  told = ", ".join(f"{_words(key)} {_number(value)}" for key, value in _numbers(values).items())
  return f"{name}: {told}" if told else name


def _numbers(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Returns what can be read: no keys, no switches, no whole arrays."""
  found = {}
  for key, value in values.items():
    if key in ("on", "order", "key"):
      continue
    value = np.asarray(value)
    if value.dtype.kind in "fiu" and value.size <= 4:
      found[key] = value
  return found


def _number(value: np.ndarray) -> str:
  return " ".join(f"{number:.2g}" for number in np.asarray(value, float).reshape(-1))


def _words(key: str) -> str:
  return key.replace("_px", " (px)").replace("_", " ")
