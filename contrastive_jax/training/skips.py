"""Steps that were not finite and changed nothing (see step/guard.py): counted, told, and ended."""

from collections.abc import Mapping

import numpy as np

from contrastive_jax import errors


class Skips:
  """Counts skipped steps; so many in a row as `limit` end the run."""

  def __init__(self, limit: int):
    self.total = 0
    self._limit, self._in_a_row = limit, 0

  def count(self, skipped: bool) -> None:
    """Counts a step, in order."""
    self.total += skipped
    self._in_a_row = self._in_a_row + 1 if skipped else 0

  def alarm(self, values: Mapping[str, float]) -> str:
    """Returns the line on the step that was skipped last, by its metrics."""
    return f"{_cause(values)}: the update is skipped, {self.total} since the start"

  def end_if_too_many(self, step: int, values: Mapping[str, float]) -> None:
    """Raises `NonFiniteLoss` where the limit is reached."""
    if self._in_a_row >= self._limit:
      raise errors.NonFiniteLoss(
        f"{_cause(values)}, at step {step}, the {self._in_a_row}. not finite in a row; the last "
        "good checkpoint is kept. Try a lower --config.optimizer.base_lr or a longer "
        "--config.optimizer.warmup_epochs"
      )


def _cause(values: Mapping[str, float]) -> str:
  cause = f"loss is {values['loss']}, norm of the gradient {values['grad_norm']}"
  if all(np.isfinite(values[name]) for name in ("loss", "grad_norm")):
    cause += ", but the update or a statistic is not finite"
  return cause
