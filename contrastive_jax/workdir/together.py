"""A save of all processes, in a thread of each: all write, one ends it, all learn how it ended.

Nothing here is a collective: what the threads tell each other are notes (`processes.notes`).
"""

import itertools
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import jax

from contrastive_jax import errors
from contrastive_jax.processes import notes

LEAVING_S = 60.0  # that a process which leaves waits for others, one of which may be gone
_NUMBERS = itertools.count()  # of the saves of this process: all processes save in the same order


class Together:
  """The saves of one run; `leave` says that this process ends."""

  def __init__(self):
    self._leaving = threading.Event()
    self._left_at = 0.0
    self._before = "save/none"  # the note with which the save before this one ended

  def leave(self) -> None:
    """From now on others are waited for no longer than `LEAVING_S`."""
    self._left_at = time.monotonic()
    self._leaving.set()

  def save(
    self,
    what: str,
    write: Callable[[], dict[str, Any]],
    end: Callable[[dict[str, Any]], None],
  ) -> None:
    """Calls `write` on every process; when it has returned on all, `end` on process 0.

    Args:
      what: is saved.
      write: returns what `end` is to know of this process, as JSON can hold it.
      end: takes all that, joined.

    Raises:
      SaveFailed: one of them has raised it, on any process, or one is missing.
    """
    if jax.process_count() == 1:
      end(write())
      return
    key = f"save/{next(_NUMBERS)}"
    if jax.process_index() == 0:
      self._lead(what, key, write, end)
    else:
      self._follow(what, key, write)

  def _lead(self, what: str, key: str, write: Callable, end: Callable) -> None:
    failure = None
    try:
      written, problem = _tried(write)
      for process in range(1, jax.process_count()):
        said = notes.wait_for(f"{key}/{process}", self._is_waiting)
        if said is None:
          raise errors.SaveFailed(f"{what} is not committed: process {process} has not written")
        other, its_problem = json.loads(said)
        written |= other
        problem = problem or its_problem
      if problem:
        raise errors.SaveFailed(problem)
      notes.drop(self._before)  # all have read it
      end(written)
    except (errors.SaveFailed, errors.UserError) as error:
      failure = error
    notes.drop(f"{key}/")
    notes.leave(f"{key}.end", str(failure or ""))
    self._before = f"{key}.end"
    if failure:
      raise failure

  def _follow(self, what: str, key: str, write: Callable) -> None:
    notes.leave(f"{key}/{jax.process_index()}", json.dumps(_tried(write)))
    problem = notes.wait_for(f"{key}.end", self._is_waiting)
    if problem is None:
      raise errors.SaveFailed(f"{what} is not known to be committed: process 0 has not said so")
    if problem:
      raise errors.SaveFailed(problem)

  def _is_waiting(self) -> bool:
    return not self._leaving.is_set() or time.monotonic() < self._left_at + LEAVING_S


def _tried(write: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], str]:
  """Returns what `write` does, or in which words it failed."""
  try:
    return write(), ""
  except (errors.SaveFailed, errors.UserError) as error:
    return {}, f"process {jax.process_index()} on {socket.gethostname()}: {error}"
