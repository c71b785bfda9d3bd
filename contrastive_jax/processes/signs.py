"""Signs of life of all processes, in as many messages as there are processes.

Every process writes what it does under a key of its own. Process 0, the leader, reads these in one
message and writes whom it misses, and that it lives itself, under another key, which each of the
others reads. So nobody but the leader looks at all, and nobody looks at a disk.
"""

import json
import threading
from typing import Any

from contrastive_jax.processes.store import Store

LEADER = 0
_PATIENCE_S = 5.0  # for an answer that goes into a line only

Said = dict[str, Any]  # "host", "doing", "for_s", "done" and a "beat" that is never twice the same


class Signs:
  """One process's part. `exchange` may wait for the network for any time; the rest never does.

  Args:
    store: of the run.
    folder: of its keys, this run's alone.
    process: number of this one.
    count: of all.
  """

  def __init__(self, store: Store, folder: str, process: int, count: int):
    self._store, self._folder, self._process = store, folder, process
    self._others = set(range(count)) - {process} if process == LEADER else {LEADER}
    self._last: dict[int, Said] = {i: {} for i in self._others}  # what each said last
    self._quiet_s = dict.fromkeys(self._others, 0.0)  # since then
    self._verdict: dict[str, Any] | None = None  # of the leader, about another process
    self._listened = False  # since time last passed
    self._lock = threading.Lock()

  def exchange(self, said: Said) -> None:
    """Tells and hears, in two messages. Raises RuntimeError: the leader is away."""
    if self._process != LEADER:
      self._store.set(f"{self._folder}/signs/{self._process}", json.dumps(said))
      text = self._store.get(f"{self._folder}/leader")
      heard = {LEADER: json.loads(text)} if text else {}
    else:
      self._store.set(f"{self._folder}/leader", json.dumps(said | {"verdict": self._verdict}))
      found = self._store.below(f"{self._folder}/signs/")
      heard = {int(name): json.loads(text) for name, text in found.items()}
    with self._lock:
      self._listened = True
      for process, new in heard.items():
        if new != self._last[process] or new["done"]:
          self._last[process], self._quiet_s[process] = new, 0.0
      if self._process != LEADER:
        self._verdict = self._last[LEADER].get("verdict")

  def pass_time(self, seconds: float) -> None:
    """Lets time pass in which this process was awake, and could have heard of the others.

    The leader hears itself speak of all others: where it could not listen, it misses nobody.
    """
    with self._lock:
      if self._process == LEADER and not self._listened:
        return
      self._listened = False
      for process, last in self._last.items():
        if not last.get("done"):
          self._quiet_s[process] += seconds

  def missing(self, silent_s: float) -> tuple[int, str] | None:
    """Returns the number of a process that gave no sign for so long, and a line about it."""
    with self._lock:
      process = max(self._quiet_s, key=self._quiet_s.get)
      quiet_s = self._quiet_s[process]
      if quiet_s > silent_s:
        line = f"process {process}{at(self._last[process])} gives no sign of life for {quiet_s:.0f}"
        found = {"process": process, "line": f"{line} s"}
      else:
        found = None if self._process == LEADER else self._verdict
      if self._process == LEADER:
        self._verdict = found  # told with the next sign
      if found is None or found["process"] == self._process:
        return None
      return found["process"], found["line"]

  def of_all(self) -> dict[int, Said]:
    """Returns what each of the others said last, as far as that can be heard at once."""
    heard: dict[int, Said] = {}

    def listen():
      found = self._store.below(f"{self._folder}/signs/")
      leader = self._store.get(f"{self._folder}/leader")
      heard.update({int(name): json.loads(text) for name, text in found.items()})
      heard.update({LEADER: json.loads(leader)} if leader else {})

    thread = threading.Thread(target=listen, name="signs", daemon=True)
    thread.start()
    thread.join(_PATIENCE_S)
    return {process: said for process, said in sorted(heard.items()) if process != self._process}


def at(said: Said) -> str:
  """Returns " on HOST", or nothing of a process that was never heard."""
  return f" on {said['host']}" if said else ""
