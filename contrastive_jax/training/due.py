"""What is due after which step of a run."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Due:
  """The calendar of a run; after its last step everything is due.

  Attributes:
    steps_per_epoch, total_steps: of the run.
    log_every_steps: steps between two lines of metrics.
    save_every_epochs, score_every_epochs: fractions allowed; 0: only at the end.
  """

  steps_per_epoch: int
  total_steps: int
  log_every_steps: int
  save_every_epochs: float
  score_every_epochs: float

  def log(self, step: int) -> bool:
    """Returns whether a line of metrics is due after `step` steps."""
    return step == self.total_steps or step % self.log_every_steps == 0

  def end_epoch(self, step: int) -> bool:
    """Returns whether an epoch ends with `step`."""
    return step % self.steps_per_epoch == 0

  def score(self, step: int) -> bool:
    """Returns whether the encoder is to be scored."""
    return self._every(self.score_every_epochs, step)

  def save(self, step: int) -> bool:
    """Returns whether the state is to be saved: also with each score, which may be the best."""
    return self.score(step) or self._every(self.save_every_epochs, step)

  def _every(self, epochs: float, step: int) -> bool:
    if step == self.total_steps:
      return True
    return bool(epochs) and step % max(1, round(epochs * self.steps_per_epoch)) == 0
