"""SIGTERM and Ctrl-C as requests: the run saves and leaves where all processes agree on it."""

import os
import signal
import threading

import jax
from jax.sharding import Mesh

from contrastive_jax import errors
from contrastive_jax.processes import agree

_TOLD = b"interrupt: the run saves as soon as it can and leaves; once more to leave at once\n"


class Preemption:
  """Context manager that turns the first SIGTERM or Ctrl-C into an answer of `requested`.

  Every process must ask at the same places: a signal to any of them makes all of them leave, after
  the same step. A second Ctrl-C is a KeyboardInterrupt at once.

  A signal to the whole process group also ends compilers that JAX has started. JAX tells of that as
  an error of its own; such an error after a signal counts as leaving.

  Raises:
    Preempted: at the end of the context, in place of such an error.
    KeyboardInterrupt: at the end of the context, in place of `Preempted`, after Ctrl-C.
  """

  def __enter__(self) -> "Preemption":
    self._asked, self._interrupted = threading.Event(), False
    self._old, self._any = {}, None
    if threading.current_thread() is threading.main_thread():  # Python handles signals there alone
      self._old[signal.SIGTERM] = signal.signal(signal.SIGTERM, lambda *_: self._asked.set())
      if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # nobody else's
        self._old[signal.SIGINT] = signal.signal(signal.SIGINT, self._interrupt)
    return self

  def __exit__(self, kind, error, trace) -> None:
    for number, handler in self._old.items():
      signal.signal(number, handler)
    if self._asked.is_set() and isinstance(error, jax.errors.JaxRuntimeError):
      reason = " ".join(str(error).split())[:200]
      left = f"it ended what JAX was doing ({reason}), and nothing new was saved; the same command "
      left += "goes on from the last checkpoint, if there is one"
    elif isinstance(error, errors.Preempted) and self._interrupted:
      left = str(error).removeprefix("SIGTERM: ")
    else:
      return
    raise (
      KeyboardInterrupt(left) if self._interrupted else errors.Preempted(f"SIGTERM: {left}")
    ) from error

  def _interrupt(self, *_) -> None:
    if self._interrupted:
      raise KeyboardInterrupt
    self._interrupted = True
    self._asked.set()
    os.write(2, _TOLD)  # a print may be what was interrupted

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
