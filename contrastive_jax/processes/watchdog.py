"""Ends a run that no longer moves, and says what it waits for.

A thread of every process looks at what the process does and since when. Several processes also
give signs of life through the coordinator (`signs`), never through a disk: one that is gone or
stopped is named by the others, also where the network would keep them waiting.

It ends the process of a command (`end_this_process`). A process that belongs to somebody else, a
notebook or a program that calls `train`, it tells the same and lets live.
"""

import faulthandler
import itertools
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable

import jax

from contrastive_jax import errors
from contrastive_jax.processes import agree, store
from contrastive_jax.processes.signs import LEADER, Signs, at

_BEAT_S = 2.0
_LEAVING_S = 5.0  # for the last sign: process 0 may be gone
_BEATS_TO_TELL = 3  # in which the others hear from process 0 why it ends
_runs = itertools.count()  # watched by this process: all processes count alike
_MAY_END = threading.Event()  # the process of a command: nobody loses it who did not start the run


def end_this_process() -> None:
  """Says that this process is the run's own, to be ended where the run does not move."""
  _MAY_END.set()


class Watchdog:
  """Context manager; `doing(what)` says what the process turns to.

  Args:
    stuck_after_s: seconds that the process may do one thing; then it prints what, with the stacks
      of its threads, and ends with `errors.EXIT_STUCK`, or warns if it may not end. 0: any time.
    peer_silent_s: seconds that another process may give no sign of life; then this one names it and
      ends with `errors.EXIT_PEER_LOST`, or warns. 0: any time.
  """

  def __init__(self, *, stuck_after_s: float, peer_silent_s: float):
    self._stuck_after_s, self._peer_silent_s = stuck_after_s, peer_silent_s
    self._over, self._done = threading.Event(), False
    self._doing = ("starting", time.monotonic())
    self._told: set[object] = set()  # what was warned of: once each
    self._beside: Callable[[], tuple[str, float] | None] = lambda: None
    self._signs: Signs | None = None  # None: alone
    self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
    self._teller = threading.Thread(target=self._exchange, name="signs of life", daemon=True)

  def __enter__(self) -> "Watchdog":
    folder = f"contrastive_jax/{next(_runs)}"
    if jax.process_count() > 1:
      agree.any_process(False)  # none is missed before all are here
      kept_in = store.connected()
      if kept_in is None:
        logging.getLogger(__name__).warning(
          "warning: the processes did not meet through JAX's coordinator: one that is lost is "
          "noticed only where the others wait for it"
        )
      else:
        self._signs = Signs(kept_in, folder, jax.process_index(), jax.process_count())
        self._teller.start()
    self._thread.start()
    return self

  def __exit__(self, failure, *_) -> None:
    self._done = failure is None
    self._over.set()
    self._thread.join()
    if self._signs:
      self._teller.join(_LEAVING_S)

  def doing(self, what: str) -> None:
    """Says what the process does from now on; the time for it begins anew."""
    self._doing = (what, time.monotonic())

  def beside(self, ask: Callable[[], tuple[str, float] | None]) -> None:
    """Watches also what a thread does: `ask` gives what, and since when by `time.monotonic`."""
    self._beside = ask

  def _watch(self) -> None:
    before = time.monotonic()
    while not self._over.wait(_BEAT_S):
      now = time.monotonic()
      if self._signs and self._peer_silent_s:
        self._signs.pass_time(min(now - before, 2 * _BEAT_S))  # it may have been stopped itself
        if found := self._signs.missing(self._peer_silent_s):
          self._end(found[1], errors.EXIT_PEER_LOST, found[0])
      before = now
      for what, since in filter(None, (self._doing, self._beside())):
        seconds = time.monotonic() - since
        if self._stuck_after_s and seconds > self._stuck_after_s:
          stuck = f"{_name()} is {what} for {seconds:.0f} s"
          self._end(stuck, errors.EXIT_STUCK, (what, since), stacks=True)

  def _exchange(self) -> None:
    """Gives signs and hears those of others, in a thread that may wait for the network."""
    beats = itertools.count()
    while True:
      over = self._over.is_set()
      if over and not self._done:  # the others shall miss this process
        return
      what, since = self._doing
      said = {
        "beat": next(beats),
        "host": socket.gethostname(),
        "doing": what,
        "for_s": round(time.monotonic() - since),
        "done": over,
      }
      try:
        self._signs.exchange(said)
      except RuntimeError:
        pass  # process 0 is away, and missed if it stays so
      if over:
        return
      self._over.wait(_BEAT_S)

  def _end(self, what: str, code: int, case: object, stacks: bool = False) -> None:
    """Ends the process from this thread: the main one may hang where no exception reaches it.

    A process that may not end is told instead, once for each `case`.
    """
    if case in self._told:
      return
    self._told.add(case)
    heard = self._signs.of_all() if self._signs and code == errors.EXIT_STUCK else {}
    others = [
      f"process {process}{at(said)} is {said['doing']} for {said['for_s']} s"
      for process, said in heard.items()
    ]
    line, ends = "; ".join([what, *others]), _MAY_END.is_set()
    then = "the same command goes on" if ends else "interrupt it, and the same call goes on"
    print(
      f"{'stopped' if ends else 'warning'}: {line}; {then} from the last checkpoint, if there is "
      "one (limits: --config.watchdog.stuck_after_s, --config.watchdog.peer_silent_s)",
      file=sys.stderr,
      flush=True,
    )
    if stacks:
      faulthandler.dump_traceback(file=sys.__stderr__, all_threads=True)
    if ends:
      if self._signs and code == errors.EXIT_PEER_LOST and jax.process_index() == LEADER:
        time.sleep(_BEATS_TO_TELL * _BEAT_S)  # with it goes what the others hear through
      os._exit(code)


def _name() -> str:
  return f"process {jax.process_index()} on {socket.gethostname()}"
