"""Saves by the clock, beside those by epochs: an epoch may take longer than one cares to lose."""

import time

import jax
from jax.sharding import Mesh

from contrastive_jax.processes import agree


class Minutes:
  """Tells when so many minutes have passed since the last save, by the clock of process 0.

  All processes must ask after the same steps; of several, all learn it one step late.

  Args:
    every: minutes; 0: never.
    mesh: of the run.
  """

  def __init__(self, every: float, mesh: Mesh):
    self._every_s = 60 * every
    self._any = agree.AnyProcess(mesh)
    self._since = time.monotonic()

  def start(self) -> None:
    """Counts from now, also where a question is under way: it was for the save that is done."""
    self._since = time.monotonic()
    self._any.forget()

  def are_over(self) -> bool:
    """Returns whether it is time for a save, the same on every process."""
    if not self._every_s:
      return False
    first = jax.process_index() == 0
    return self._any(first and time.monotonic() - self._since >= self._every_s)
