"""Updates that the online probe alone had to leave out (see step/online.py): counted, told once."""

from collections.abc import Mapping


class ProbeSkips:
  """Counts them; the encoder goes on, and so does the run."""

  def __init__(self):
    self.total = 0

  def count(self, step: int, values: Mapping[str, float]) -> str | None:
    """Counts a step by its metrics; returns the line that is due, if any."""
    alone = bool(values["online_skipped"]) and not values["skipped"]
    self.total += alone
    if not alone or self.total > 1:
      return None
    return (
      f"step {step}: the online probe is not finite and keeps its weights (online_skipped in the "
      "metrics counts such steps); the encoder goes on. Try a lower "
      "--config.monitor.online_learning_rate"
    )
