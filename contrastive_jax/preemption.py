"""SIGTERM as a request: the loop saves and leaves at the next step that all processes agree on."""

import signal
import threading

import jax
from jax.experimental import multihost_utils


class Preemption:
  """Context manager that turns SIGTERM into `requested(step)`.

  One process handles the signal itself. Several ask JAX's coordination service, which hands all of
  them the same step, so that they save the same state.
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
