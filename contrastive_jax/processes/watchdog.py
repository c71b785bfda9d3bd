"""Ends a run that no longer moves, and says what it waits for.

A thread of every process looks at what the process does and since when. Several processes also
tell each other, in files of the workdir: one that is gone or stopped is named by the others, also
where the network would keep them waiting.

It ends the process of a command (`end_this_process`). A process that belongs to somebody else, a
notebook or a program that calls `train`, it tells the same and lets live.
"""

import faulthandler
import json
import os
import pathlib
import re
import socket
import sys
import threading
import time
from collections.abc import Callable

import jax

from contrastive_jax import errors
from contrastive_jax.processes import agree

_BEAT_S = 2.0
_MAY_END = threading.Event()  # the process of a command: nobody loses it who did not start the run


def end_this_process() -> None:
  """Says that this process is the run's own, to be ended where the run does not move."""
  _MAY_END.set()


class Watchdog:
  """Context manager; `doing(what)` says what the process turns to.

  Args:
    workdir: of the run, seen by all processes.
    stuck_after_s: seconds that the process may do one thing; then it prints what, with the stacks
      of its threads, and ends with `errors.EXIT_STUCK`, or warns if it may not end. 0: any time.
    peer_silent_s: seconds that another process may give no sign of life; then this one names it and
      ends with `errors.EXIT_PEER_LOST`, or warns. 0: any time.
  """

  def __init__(self, workdir: str, *, stuck_after_s: float, peer_silent_s: float):
    self._folder = pathlib.Path(workdir) / "processes"
    self._stuck_after_s, self._peer_silent_s = stuck_after_s, peer_silent_s
    self._over, self._done = threading.Event(), False
    self._doing = ("starting", time.monotonic())
    self._told: set[object] = set()  # what was warned of: once each
    self._beside: Callable[[], tuple[str, float] | None] = lambda: None
    self._peers: dict[int, tuple[dict, float]] = {}  # what each said last, and when it was new
    self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

  def __enter__(self) -> "Watchdog":
    if jax.process_count() > 1:
      if jax.process_index() == 0:
        with errors.placing(str(self._folder)):
          self._folder.mkdir(exist_ok=True)
          for path in self._folder.iterdir():  # of an earlier start; what else is there stays
            if re.fullmatch(r"\d+\.(json|tmp)", path.name, re.ASCII):
              path.unlink(missing_ok=True)
      agree.any_process(False)  # not before it is clean
      now = time.monotonic()
      others = set(range(jax.process_count())) - {jax.process_index()}
      self._peers = {process: ({}, now) for process in others}
    self._thread.start()
    return self

  def __exit__(self, failure, *_) -> None:
    self._done = failure is None
    self._over.set()
    self._thread.join()

  def doing(self, what: str) -> None:
    """Says what the process does from now on; the time for it begins anew."""
    self._doing = (what, time.monotonic())

  def beside(self, ask: Callable[[], tuple[str, float] | None]) -> None:
    """Watches also what a thread does: `ask` gives what, and since when by `time.monotonic`."""
    self._beside = ask

  def _watch(self) -> None:
    beat = 0
    while not self._over.wait(_BEAT_S):
      beat += 1
      if self._peers:
        self._tell(beat)
        self._listen()
      for what, since in filter(None, (self._doing, self._beside())):
        seconds = time.monotonic() - since
        if self._stuck_after_s and seconds > self._stuck_after_s:
          stuck = f"{_name()} is {what} for {seconds:.0f} s"
          self._end(stuck, errors.EXIT_STUCK, (what, since), stacks=True)
    if self._peers and self._done:  # else the others shall miss this process
      self._tell(beat + 1, done=True)

  def _tell(self, beat: int, done: bool = False) -> None:
    what, since = self._doing
    said = {
      "beat": beat,
      "host": socket.gethostname(),
      "doing": what,
      "for_s": round(time.monotonic() - since),
      "done": done,
    }
    path = self._folder / f"{jax.process_index()}.json"
    temporary = path.with_suffix(".tmp")
    try:
      temporary.write_text(json.dumps(said))
      temporary.replace(path)
    except OSError:
      pass  # whoever saves there tells of it; the others will miss this process

  def _listen(self) -> None:
    now = time.monotonic()
    for process, (last, when) in self._peers.items():
      try:
        said = json.loads((self._folder / f"{process}.json").read_text())
      except (OSError, ValueError):
        said = last
      if said != last or said.get("done"):
        self._peers[process] = (said, now)
      elif self._peer_silent_s and now - when > self._peer_silent_s:
        self._end(
          f"process {process}{_at(last)} gives no sign of life for {now - when:.0f} s",
          errors.EXIT_PEER_LOST,
          process,
        )

  def _end(self, what: str, code: int, case: object, stacks: bool = False) -> None:
    """Ends the process from this thread: the main one may hang where no exception reaches it.

    A process that may not end is told instead, once for each `case`.
    """
    if case in self._told:
      return
    self._told.add(case)
    others = [
      f"process {process}{_at(said)} is {said['doing']} for {said['for_s']} s"
      for process, (said, _) in sorted(self._peers.items())
      if said and code == errors.EXIT_STUCK
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
      os._exit(code)


def _name() -> str:
  return f"process {jax.process_index()} on {socket.gethostname()}"


def _at(said: dict) -> str:
  return f" on {said['host']}" if said else ""
