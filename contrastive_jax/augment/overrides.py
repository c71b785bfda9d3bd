"""What options make of a row of `table`, and the errors of those that cannot be."""

import dataclasses
from typing import Any

from contrastive_jax import errors
from contrastive_jax.augment import table


def with_areas(
  row: table.Row, name: str, prefix: str, low: float | None, high: float | None
) -> table.Row:
  """Sets the smallest and the largest crop; None keeps the row's. Raises UserError."""
  for option, area in ((f"{prefix}min_area", low), (f"{prefix}max_area", high)):
    if area is None:
      continue
    if not (_is_number(area) and 0 < area <= 1):
      raise errors.UserError(f"augment.{option} {area!r} is not a fraction; use 0 < x <= 1")
    if row.min_area is None:
      raise errors.UserError(
        f"augment.{option} {area} has no effect: recipe {name!r} does not crop; "
        "leave it out or use recipe 'crop_only'"
      )
  if low is None and high is None:
    return row
  covered = row.min_covered if low is None else min(row.min_covered, low)
  low = row.min_area if low is None else low
  high = row.max_area if high is None else high
  if low > high:
    raise errors.UserError(
      f"augment.{prefix}min_area {low} is above augment.{prefix}max_area {high}; set both"
    )
  return dataclasses.replace(row, min_area=low, max_area=high, min_covered=covered)


def with_strength(
  row: table.Row, strength: float | None, hue: float | None, colour_options: dict[str, Any]
) -> table.Row:
  """Sets the jitter strengths; at strength 0 removes all of colour. Raises UserError."""
  given = strength is not None
  strength = strength if given else row.strength
  if not (_is_number(strength) and strength >= 0):
    raise errors.UserError(f"augment.color_strength {strength!r} is not a number; use 0 or more")
  if strength == 0:  # one switch for the whole of colour
    for option, value in colour_options.items():
      if value:
        raise errors.UserError(
          f"augment.{option} {value} contradicts color_strength 0, which turns all colour "
          "distortion off; leave one of them out"
        )
    return dataclasses.replace(row, jitter_p=0.0, grey_p=0.0, solarize_p=(0.0, 0.0))
  if given and row.jitter_p == 0:
    raise errors.UserError(
      f"augment.color_strength {strength} has no effect: the recipe has no jitter; "
      "use 0 or another recipe"
    )
  if hue is not None and row.jitter_p == 0:
    raise errors.UserError(
      f"augment.hue {hue} has no effect: the recipe has no jitter; leave it out or use another "
      "recipe"
    )
  *others, own_hue = (strength * x for x in row.jitter)
  if hue is None and own_hue > 0.5:
    raise errors.UserError(
      f"augment.color_strength {strength} turns hue by {own_hue:g} of the circle, more than 0.5; "
      f"use at most {0.5 / row.jitter[3]:g}"
    )
  if hue is not None and not (_is_number(hue) and 0 <= hue <= 0.5):
    raise errors.UserError(f"augment.hue {hue!r} is no part of the circle; use 0 to 0.5")
  return dataclasses.replace(row, jitter=(*others, own_hue if hue is None else hue))


def probabilities(
  option: bool | float | None, own: tuple[float, ...], default: float
) -> tuple[float, ...]:
  """Resolves an option that is a probability, a switch, or None for the recipe's own figures."""
  if option is None:
    return own
  if option is True:
    return own if any(own) else (default,) * len(own)
  return (float(option),) * len(own)


def _is_number(value: Any) -> bool:
  return isinstance(value, int | float) and not isinstance(value, bool)


def check_probability(option: str, value: Any) -> None:
  if value is None or isinstance(value, bool) or (_is_number(value) and 0 <= value <= 1):
    return
  raise errors.UserError(f"augment.{option} {value!r} is not a probability; use 0 to 1")


def check_integer(option: str, value: Any) -> None:
  if not isinstance(value, int) or isinstance(value, bool) or value < 1:
    raise errors.UserError(f"augment.{option} {value!r} is not a positive integer; use 1 or more")


def check_choice(option: str, value: Any, choices: tuple[str | bool, ...]) -> None:
  if value not in choices:
    raise errors.UserError(
      f"augment.{option} {value!r} is unknown; use one of: " + ", ".join(map(str, choices))
    )
