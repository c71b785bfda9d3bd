"""Alarms of collapse, each told once until it clears."""

from collections.abc import Mapping

from contrastive_jax.step import collapse


class Alarms:
  """Remembers what it has told.

  Args:
    after_steps: no alarm before.
    **limits: of `collapse.alarms`.
  """

  def __init__(self, after_steps: int, **limits: float):
    self._after_steps, self._limits = after_steps, limits
    self._told: list[str] = []

  def new(self, step: int, values: Mapping[str, float]) -> list[str]:
    """Returns the lines that the metrics of a step give rise to and that are not told yet."""
    figures = {k.removeprefix("collapse_"): v for k, v in values.items() if "collapse_" in k}
    if step < self._after_steps or not figures:
      return []
    lines = collapse.alarms(figures, **self._limits)
    new = [line for kind, line in lines.items() if kind not in self._told]
    self._told = list(lines)
    return new
