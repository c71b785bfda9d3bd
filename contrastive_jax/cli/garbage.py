"""Python looks for cycles of garbage seldom.

While JAX and this package are imported and a step is traced, about a million objects are made that stay.
By Python's own thresholds the collector goes through them hundreds of times, and JAX's caches with
them each time: a seventh of a second start's CPU time (docs/results/speed.md).
"""

import gc

_THRESHOLDS = (50_000, 20, 50)  # new objects, then collections of each generation


def collect_seldom() -> None:
  """Raises the collector's thresholds; one that is off, or as seldom already, is left alone."""
  first = gc.get_threshold()[0]
  if gc.isenabled() and 0 < first < _THRESHOLDS[0]:
    gc.set_threshold(*_THRESHOLDS)
