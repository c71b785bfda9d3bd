"""A figure of a run that was read, by its name (see `measure`): its value, and how it is shown."""

import re
from typing import NamedTuple

from contrastive_jax.study import collect, measure

_SHARE = re.compile(r"(^|_)(accuracy|top1|top5)$")
_COUNTED = ("top1", "top5")  # every test image counts alike: their chance is binomial


class Found(NamedTuple):
  """A figure of one run."""

  value: float
  num_test: int | None = None  # test images, if it is a share of them
  others: tuple[str, ...] = ()  # files whose record answers to the same name with another value


def find(run: collect.Run, name: str, held_out: bool = False) -> Found | None:
  """Returns the figure of a run, None if it has none.

  Args:
    run: that has it.
    name: of the figure.
    held_out: whether it is asked for on the images held out, or on the test images.

  Raises:
    UserError: `name` is no figure's.
  """
  asked = measure.parse(name)
  if isinstance(asked, measure.Metric):
    values = collect.curve(run, asked.name)
    return Found(values[-1][1]) if values else None
  found = [
    result
    for result in run.results
    if (result.protocol, result.layer, result.encoder) == asked[1:4]
    and result.held_out == held_out
    and asked.evaluation in (None, result.name)
    and collect.is_number(result.values.get(asked.field))
  ]
  if not found:
    return None
  found.sort(key=lambda result: -result.step)  # the newest checkpoint, then the first file
  value = found[0].values[asked.field]
  num_test = found[0].values.get("num_test") if asked.field in _COUNTED else None
  others = tuple(r.file for r in found[1:] if r.values[asked.field] != value)
  return Found(float(value), num_test if collect.is_number(num_test) else None, others)


def is_share(name: str) -> bool:
  """Returns whether a figure, or a metric of that name, lies in [0, 1] and is shown in percent."""
  metric = name.removeprefix("metric.")
  return metric == name and "." in name or bool(_SHARE.search(metric))


def shown(value: float, name: str) -> str:
  """Returns a value as tables have it: a share in percent, all else with four digits."""
  return f"{100 * value:.2f}" if is_share(name) else f"{value:.4g}"


def title(name: str) -> str:
  """Returns the name of a figure with its unit."""
  return f"{name}, %" if is_share(name) else name
