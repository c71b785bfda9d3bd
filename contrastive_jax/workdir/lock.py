"""One run at a time in a workdir: a lock that the operating system drops when its holder dies."""

import contextlib
import fcntl
import os
import pathlib
import socket
import sys
from collections.abc import Iterator

import jax

from contrastive_jax import errors
from contrastive_jax.processes import agree


@contextlib.contextmanager
def hold(workdir: str) -> Iterator[None]:
  """Holds `workdir`/lock, on process 0, for the time of the context.

  Raises:
    UserError: another run holds it, on all processes alike; the message names its process and host.
  """
  with contextlib.ExitStack() as stack:
    holder = None
    if jax.process_index() == 0:
      path = pathlib.Path(workdir) / "lock"
      with errors.saving(str(path)):
        file = stack.enter_context(path.open("a+"))
      holder = _take(file)
    if agree.any_process(holder is not None):
      raise errors.UserError(
        f"workdir {workdir} is in use by {holder or 'another run'}; wait for its end, stop it, or "
        "give another --workdir"
      )
    yield


def _take(file) -> str | None:
  """Takes the lock and signs; or returns who has it. Where there are no locks, a line says so."""
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    file.seek(0)
    return file.read().strip() or "another process"
  except OSError as error:  # some network file systems have none (ENOLCK, ENOTSUP)
    print(
      f"warning: {file.name} cannot be locked ({error.strerror}): nothing keeps a second run "
      "out of this workdir",
      file=sys.stderr,
      flush=True,
    )
  file.truncate(0)
  file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
  file.flush()
  return None
