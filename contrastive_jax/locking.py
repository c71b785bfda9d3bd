"""A lock on a file that the operating system drops when its holder dies."""

import fcntl
import os
import socket
import sys
from typing import IO


def take(file: IO[str]) -> str | None:
  """Takes the lock and signs; or returns who has it. Where there are no locks, a line says so.

  Args:
    file: opened with "a+"; the lock is held until it is closed, here and in processes that it was
      passed on to.
  """
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    file.seek(0)
    return file.read().strip() or "another process"
  except OSError as error:  # some network file systems have none (ENOLCK, ENOTSUP)
    print(
      f"warning: {file.name} cannot be locked ({error.strerror}): nothing keeps a second run "
      "out of its directory",
      file=sys.stderr,
      flush=True,
    )
  file.truncate(0)
  file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
  file.flush()
  return None
