"""SIGTERM as a request: the run saves and leaves where all processes agree on it."""

import signal
import threading

import jax
from jax.experimental import multihost_utils

from contrastive_jax import errors


class Preemption:
  """Context manager that turns SIGTERM into an answer of `requested` and `leave_if_requested`.

  One process handles the signal itself. Several ask JAX's coordination service, which hands all of
  them the same step, so that they save the same state; between two steps they cannot leave.
  """

  def __enter__(self) -> "Preemption":
    self._asked = threading.Event()
    self._old = None
    in_main_thread = threading.current_thread() is threading.main_thread()
    if jax.process_count() == 1 and in_main_thread:  # Python handles signals there alone
      self._old = signal.signal(signal.SIGTERM, lambda *_: self._asked.set())
    return self

  def __exit__(self, *_) -> None:
    if self._old is not None:
      signal.signal(signal.SIGTERM, self._old)

  def requested(self, step: int) -> bool:
    """Returns whether to save and leave after `step`; the same on every process."""
    if jax.process_count() == 1:
      return self._asked.is_set()
    return multihost_utils.reached_preemption_sync_point(step)

  def leave_if_requested(self) -> None:
    """Raises `Preempted` where there is nothing to save: while a run is set up or scored."""
    if self._asked.is_set():
      raise errors.Preempted(
        "SIGTERM: there was nothing new to save; the same command goes on from the last checkpoint"
      )
