"""Where the time of a run goes: seconds of each phase, of each process that worked on it.

They are in time.jsonl of the workdir, to which lines are only added: unlike metrics.jsonl it keeps
what a run that was killed did after its last checkpoint, the work that was lost. A line holds sums
since the process began; the last line of a session is what counts. From process 0 alone.
"""

import contextlib
import json
import pathlib
import shlex
import sys
import time
from collections.abc import Callable

import jax

NAME = "time.jsonl"
_EVERY_S = 30.0  # between two lines


class Spent:
  """Counts seconds by phase: "start", "compile", "load", "step", "score", "save".

  JAX computes while Python goes on, so what the devices need is in the phase that waits for them:
  "load" is waiting for images, "step" all else between two of them. "compile" is the first step of
  this process, "start" all before it.

  Args:
    path: of the file; None: it is not written.
    start_step: that the run goes on from.
    clock: seconds, of any origin.
  """

  def __init__(
    self,
    path: pathlib.Path | None,
    start_step: int,
    begun: float | None = None,
    clock: Callable[[], float] = time.monotonic,
  ):
    self.seconds: dict[str, float] = {}
    self._path = path if jax.process_index() == 0 else None
    self._clock, self._phase = clock, "start"
    self._since = clock() if begun is None else begun
    self._told_at, self._session = self._since, round(time.time(), 3)
    self._asked: dict[str, float] = {}
    self._stepped = False
    self._write({"start_step": start_step, "step": start_step, "command": _command(sys.argv)})

  def doing(self, phase: str) -> None:
    """Says what the process turns to; the first "step" is "compile"."""
    now = self._clock()
    self.seconds[self._phase] = self.seconds.get(self._phase, 0.0) + now - self._since
    if phase == "step" and not self._stepped:
      self._stepped, phase = True, "compile"
    self._phase, self._since = phase, now

  def tell(self, step: int, now: bool = False) -> None:
    """Writes the sums after `step`, if the last line is some time ago or a line is due `now`."""
    self.doing(self._phase)
    if now or self._clock() - self._told_at > _EVERY_S:
      self._told_at = self._clock()
      self._write({"step": step, "seconds": {k: round(v, 3) for k, v in self.seconds.items()}})

  def waiting(self) -> float | None:
    """Returns the share of the time of steps spent waiting for images, since last asked."""
    self.doing(self._phase)
    found = {k: self.seconds.get(k, 0.0) - self._asked.get(k, 0.0) for k in ("load", "step")}
    self._asked = dict(self.seconds)
    total = sum(found.values())
    return found["load"] / total if total else None

  def _write(self, values: dict[str, object]) -> None:
    if self._path is None:
      return
    line = {"session": self._session, "time": round(time.time(), 3), **values}
    with contextlib.suppress(OSError):  # of a full disk the metrics tell
      with self._path.open("a") as file:
        # A process that was killed may have left half a line.
        file.write(("\n" if "start_step" in values else "") + json.dumps(line) + "\n")


def _command(words: list[str]) -> str:
  """Returns the command as a shell takes it, without the place of this process among several."""
  program = pathlib.Path(words[0] or "python").name
  program = "contrastive_jax" if program == "__main__.py" else program
  places = ("--coordinator=", "--num_processes=", "--process_id=")
  return shlex.join([program, *(word for word in words[1:] if not word.startswith(places))])
