"""Worker processes that decode, and do not run the user's script a second time.

A process that Python spawns imports the script that started it, so one without a main guard would
train again in each worker, and end in tracebacks; a script from stdin has no file to import. Grain
sends all that its workers need by value: they do without.
"""

import contextlib
import threading
from collections.abc import Iterator
from multiprocessing import spawn
from typing import Any

_NAME = "grain-process-prefetch"  # of Grain's workers
_MAIN = ("init_main_from_name", "init_main_from_path")
_lock = threading.Lock()
_users, _original = 0, spawn.get_preparation_data


@contextlib.contextmanager
def without_main() -> Iterator[None]:
  """Inside, workers of Grain that are started do not import `__main__`; other processes do."""
  global _users, _original
  with _lock:
    if not _users:
      _original, spawn.get_preparation_data = spawn.get_preparation_data, _prepared
    _users += 1
  try:
    yield
  finally:
    with _lock:
      _users -= 1
      if not _users:
        spawn.get_preparation_data = _original


def _prepared(name: str) -> dict[str, Any]:
  told = _original(name)
  return {k: v for k, v in told.items() if k not in _MAIN} if name.startswith(_NAME) else told
