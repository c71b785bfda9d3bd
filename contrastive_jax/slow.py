"""Says what has been read for so long that a disk or a mount may not answer.

Such a read ends in no error: it waits, in the system, for as long as the mount is dead, and nobody
else knows the file. A thread looks now and then at what the others are reading.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator

SAID_AFTER_S = 60.0  # of one read; a watchdog ends the run much later
_LOOKS_EVERY_S = 5.0

_reads: dict[int, list[tuple[str, float]]] = {}  # of every thread: what and since when, inmost last
_lock = threading.Lock()
_watcher: threading.Thread | None = None


@contextlib.contextmanager
def named(what: str) -> Iterator[None]:
  """Inside, `what` is being read by this thread; a warning names it if that lasts."""
  _watch()
  reads = _reads.setdefault(threading.get_ident(), [])
  reads.append((what, time.monotonic()))
  try:
    yield
  finally:
    reads.pop()
    if not reads:
      _reads.pop(threading.get_ident(), None)


def lasting(seconds: float) -> list[tuple[str, float]]:
  """Returns (what, since when) of the inmost read of every thread that lasts as long or longer."""
  inmost = [reads[-1] for reads in list(_reads.values()) if reads]
  return [(what, since) for what, since in inmost if time.monotonic() - since >= seconds]


def _watch() -> None:
  """Starts the thread, once a process."""
  global _watcher
  if _watcher is None or not _watcher.is_alive():
    with _lock:
      if _watcher is None or not _watcher.is_alive():
        _watcher = threading.Thread(target=_look, name="slow reads", daemon=True)
        _watcher.start()


def _look() -> None:
  told: set[tuple[str, float]] = set()
  while True:
    found = lasting(SAID_AFTER_S)
    for what, since in found:
      if (what, since) not in told:
        logging.getLogger(__name__).warning(
          "warning: %s has been read for %.0f s, without an end yet: a disk or a mount that does "
          "not answer?",
          what,
          time.monotonic() - since,
        )
    told = set(found)
    time.sleep(_LOOKS_EVERY_S)
