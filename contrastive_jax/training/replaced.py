"""Unreadable images, in whose place the pipeline puts others (see data/store.py): counted, told."""


class Replaced:
  """Counts them; the first of an epoch is told, the others are in the metrics alone."""

  def __init__(self, steps_per_epoch: int):
    self.total = 0.0
    self._steps_per_epoch, self._told_in = steps_per_epoch, None

  def count(self, step: int, images: float) -> str | None:
    """Counts the images of a step; returns the line that is due, if any."""
    self.total += images
    epoch = (step - 1) // self._steps_per_epoch
    if not images or epoch == self._told_in:
      return None
    self._told_in = epoch
    return (
      f"step {step}: unreadable images are replaced ({self.total:.0f} since the start); "
      "which and why: unreadable.txt in the workdir"
    )
