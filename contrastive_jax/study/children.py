"""The processes that cells consist of: each under a supervisor, ended when this one is told to end.

A child has a session of its own, so that Ctrl-C reaches it once, from here. It keeps its cell's
lock, and it leaves when this process is gone: a study that is started again at once waits for it.
"""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

# A cell is one run of one process, also where SLURM or Kubernetes tell of several.
_ALONE = ("--coordinator=localhost:0", "--num_processes=1", "--process_id=0")


class Children:
  """Starts processes, and passes on what this one is told."""

  def __init__(self, restarts: int, under: Sequence[str] = ()):
    """Makes none yet.

    Args:
      restarts: of a child in a row without a new checkpoint, see `launch`.
      under: words before each command, e.g. srun; the run then looks for its other processes.
    """
    self._restarts, self._under = restarts, list(under)
    self._alive: set[subprocess.Popen] = set()
    self._lock = threading.Lock()
    self.told: int | None = None  # the signal to leave by

  def run(
    self, words: Sequence[str], log: IO[bytes], held: IO[str], extra: Mapping[str, str]
  ) -> int:
    """Runs `contrastive_jax WORDS` to its end.

    Args:
      words: of the command.
      log: what it prints goes there.
      held: a lock that it is to hold as well.
      extra: variables of its environment.

    Returns:
      Its exit code; 128 + n if signal n ended it.
    """
    supervisor = ["-m", "contrastive_jax.launch", f"--restarts={self._restarts}"]
    place = () if self._under else _ALONE
    command = [sys.executable, *supervisor, f"--parent={os.getpid()}", "--", *self._under]
    command += [sys.executable, "-m", "contrastive_jax", *words, *place]
    child = subprocess.Popen(
      command,
      stdin=subprocess.DEVNULL,
      stdout=log,
      stderr=subprocess.STDOUT,
      env=environment() | dict(extra),
      start_new_session=True,
      pass_fds=(held.fileno(),),
    )
    with self._lock:
      self._alive.add(child)
    if self.told is not None:  # it came while this one was started
      _signal(child, self.told)
    code = child.wait()
    with self._lock:
      self._alive.discard(child)
    return code

  @contextlib.contextmanager
  def listening(self) -> Iterator[None]:
    """Passes SIGINT and SIGTERM on to all for the time of the context."""

    def tell(number: int, _) -> None:
      self.told = number
      for child in tuple(self._alive):
        _signal(child, number)

    handlers = {}
    if threading.current_thread() is threading.main_thread():  # Python handles signals there alone
      for number in (signal.SIGINT, signal.SIGTERM):
        handlers[number] = signal.signal(number, tell)
    try:
      yield
    finally:
      for number, handler in handlers.items():
        signal.signal(number, handler)


def environment() -> dict[str, str]:
  """Returns the environment of a child: it imports the package that this process runs."""
  package = str(pathlib.Path(__file__).resolve().parents[2])
  path = filter(None, [package, os.environ.get("PYTHONPATH")])
  return os.environ | {"PYTHONPATH": os.pathsep.join(path)}


def _signal(child: subprocess.Popen, number: int) -> None:
  with contextlib.suppress(ProcessLookupError):
    child.send_signal(number)
