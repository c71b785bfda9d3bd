"""SIGTERM as a request: the run saves and leaves where all processes agree on it."""

import signal
import threading

import jax
from jax.sharding import Mesh

from contrastive_jax import errors
from contrastive_jax.processes import agree


class Preemption:
  """Context manager that turns SIGTERM into an answer of `requested` and `leave_if_requested`.

  Every process must ask at the same places: SIGTERM to any of them makes all of them leave, after
  the same step.

  A signal to the whole process group also ends compilers that JAX has started. JAX tells of that as
  an error of its own; such an error after SIGTERM counts as leaving.

  Raises:
    Preempted: at the end of the context, in place of such an error.
  """

  def __enter__(self) -> "Preemption":
    self._asked = threading.Event()
    self._old = self._any = None
    if threading.current_thread() is threading.main_thread():  # Python handles signals there alone
      self._old = signal.signal(signal.SIGTERM, lambda *_: self._asked.set())
    return self

  def __exit__(self, kind, error, trace) -> None:
    if self._old is not None:
      signal.signal(signal.SIGTERM, self._old)
    if self._asked.is_set() and isinstance(error, jax.errors.JaxRuntimeError):
      reason = " ".join(str(error).split())[:200]
      raise errors.Preempted(
        f"SIGTERM: it ended what JAX was doing ({reason}), and nothing new was saved; the same "
        "command goes on from the last checkpoint, if there is one"
      ) from error

  def requested(self, mesh: Mesh) -> bool:
    """Returns whether to save and leave after this step; the same on every process of `mesh`."""
    self._any = self._any or agree.AnyProcess(mesh)
    return self._any(self._asked.is_set())

  def leave_if_requested(self) -> None:
    """Raises `Preempted` where there is nothing to save: while a run is set up or scored."""
    if agree.any_process(self._asked.is_set()):
      raise errors.Preempted(
        "SIGTERM: there was nothing new to save; the same command goes on from the last "
        "checkpoint, if there is one"
      )
