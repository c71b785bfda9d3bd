"""Alarms of a run that goes on though nothing is learnt, each told once until it has cleared.

A figure near its limit crosses it many times. So an alarm has cleared, and may be told again, when
it was not raised for `CLEARED_AFTER` lines of metrics in a row.

A collapse shows in the embeddings of one step. A run that has diverged, or whose gradient has died,
has a finite loss that looks like any other: it is told by how long it lasts.
"""

from collections.abc import Mapping

from contrastive_jax.step import collapse

CLEARED_AFTER = 10  # lines of metrics in a row without it
_ROUNDING = 1e-3  # of chance: equal embeddings may come out above it


class Alarms:
  """Counts what lasts, and remembers what it has told.

  Args:
    chance: loss of embeddings that are all alike, see `Method.chance`; None: there is no such.
    warmup_steps: of the learning rate; meanwhile a loss may stay above chance.
    idle_steps: at the start, see `Method.idle_steps`.
    after_steps: no alarm of a collapse before.
    lasting_steps: in a row, from which on a loss above chance or a dead gradient is an alarm; a
      start counts from 0 again.
    min_gradient: norm of the gradient, in norms of the weights, below which it is dead.
    **limits: of `collapse.alarms`.
  """

  def __init__(
    self,
    chance: float | None,
    *,
    warmup_steps: int,
    idle_steps: int,
    after_steps: int,
    lasting_steps: int,
    min_gradient: float,
    **limits: float,
  ):
    self._chance, self._lasting_steps, self._min_gradient = chance, lasting_steps, min_gradient
    self._warmup_steps, self._idle_steps = warmup_steps, idle_steps
    self._after_steps, self._limits = after_steps, limits
    self._in_a_row = {"chance": 0, "gradient": 0}
    self._told: dict[str, int] = {}  # kinds that have not cleared, and for how many lines unseen

  def count(self, step: int, values: Mapping[str, float]) -> None:
    """Looks at the metrics of a step that was not skipped; of every one, in order."""
    if step <= self._idle_steps:
      return
    known = self._chance is not None and step > self._warmup_steps
    bad = {
      "chance": known and values["loss"] > (1 + _ROUNDING) * self._chance,
      "gradient": values["grad_norm"] < self._min_gradient * values["param_norm"],
    }
    self._in_a_row = {kind: 1 + self._in_a_row[kind] if bad[kind] else 0 for kind in bad}

  def new(self, step: int, values: Mapping[str, float]) -> list[str]:
    """Returns the lines that the metrics of a step give rise to and that are not told yet."""
    figures = {k.removeprefix("collapse_"): v for k, v in values.items() if "collapse_" in k}
    collapsed = figures and step >= self._after_steps
    lines = collapse.alarms(figures, **self._limits) if collapsed else {}
    lines |= self._lasting(values)
    new = [line for kind, line in lines.items() if kind not in self._told]
    unseen = {kind: n + 1 for kind, n in self._told.items() if n + 1 < CLEARED_AFTER}
    self._told = unseen | dict.fromkeys(lines, 0)
    return new

  def _lasting(self, values: Mapping[str, float]) -> dict[str, str]:
    said = {
      "chance": f"loss {values['loss']:.4g} is above chance ({self._chance or 0.0:.4g}: all "
      "embeddings alike)",
      "gradient": f"norm of the gradient {values['grad_norm']:.1e} is below {self._min_gradient:g} "
      f"times that of the weights, {values['param_norm']:.3g}",
    }
    remedy = "nothing is learnt; try a lower --config.optimizer.base_lr or a longer warm-up"
    return {
      kind: f"{said[kind]} for {count} steps in a row: {remedy}"
      for kind, count in self._in_a_row.items()
      if count >= self._lasting_steps
    }
