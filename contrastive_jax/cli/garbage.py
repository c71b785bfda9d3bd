"""Python looks for cycles of garbage seldom.

A start makes 220,000 objects that stay: JAX, this package, a step that is traced. By Python's own
thresholds the collector runs 1,500 times on the way, 11 times over all of them: a sixth of a second
start's CPU time (docs/results/speed.md).
"""

import gc

_THRESHOLDS = (50_000, 20, 50)  # new objects, then collections of each generation


def collect_seldom() -> None:
  """Raises the collector's thresholds; one that is off, or as seldom already, is left alone."""
  first = gc.get_threshold()[0]
  if gc.isenabled() and 0 < first < _THRESHOLDS[0]:
    gc.set_threshold(*_THRESHOLDS)
