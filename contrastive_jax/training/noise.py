"""The gradient noise scale as a run tells it: figures of single steps, averaged before divided."""

from jaxtyping import Array

from contrastive_jax.step import noise
from contrastive_jax.step.state import TrainState
from contrastive_jax.training.due import Due

_DECAY = 0.9  # of the running means, at each line of metrics


class Noise:
  """Measures gradients of parts of a batch before each step whose metrics are due; see step.noise.

  Single figures go into the metrics as they are; noise_scale, noise_drift_norm and
  noise_drift_cosine are quotients of running means, which start anew with the process.
  """

  def __init__(self, measure: noise.Measure | None, due: Due):
    self._measure, self._due = measure, due
    self._means: dict[str, float] = {}

  def before(self, step: int, state: TrainState, batch: dict[str, Array]) -> dict[str, Array]:
    """Returns the figures of the state before `step`, on the batch of that step; {} if not due."""
    if self._measure is None or not self._due.log(step):
      return {}
    return self._measure(state, batch)

  def quotients(self, values: dict[str, float]) -> dict[str, float]:
    """Returns what the figures so far say; {} if this step has none, or the signal is no square."""
    found = {k: v for k, v in values.items() if k.startswith("noise_")}
    if not found:
      return {}
    for key, value in found.items():
      self._means[key] = _DECAY * self._means.get(key, value) + (1 - _DECAY) * value
    signal, whole, cross = (self._means[f"noise_{k}"] for k in ("signal", "whole", "cross"))
    if signal <= 0 or whole <= 0:
      return {}
    return {
      "noise_scale": self._means["noise_trace"] / signal,
      "noise_drift_norm": (whole / signal) ** 0.5,
      "noise_drift_cosine": cross / (whole * signal) ** 0.5,
    }
