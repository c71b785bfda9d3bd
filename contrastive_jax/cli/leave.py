"""The end of a command: one line on stderr and an exit code."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import NoReturn

from contrastive_jax import errors

# What the package raises by name: the word before it, and the code.
ENDS = {
  errors.UserError: ("error", errors.EXIT_USER_ERROR),
  errors.CellsFailed: ("failed", errors.EXIT_CELLS_FAILED),
  errors.NonFiniteLoss: ("stopped", errors.EXIT_NON_FINITE),
  errors.ReadFailed: ("stopped", errors.EXIT_READ_FAILED),
  errors.SaveFailed: ("stopped", errors.EXIT_SAVE_FAILED),
  errors.Preempted: ("left", errors.EXIT_PREEMPTED),
  errors.PeerLost: ("stopped", errors.EXIT_PEER_LOST),
}

_IN_VAIN = (errno.ENOSPC, errno.EDQUOT, errno.EPIPE)


@contextlib.contextmanager
def by_name() -> Iterator[None]:
  """Leaves with one line where the package raises one of `ENDS`, or what is written is in vain."""
  try:
    yield
    sys.stdout.flush()  # here, not at the exit, where nobody could tell
  except OSError as error:  # what is printed may lie on a disk, too, or its reader be gone
    if error.errno not in _IN_VAIN:
      raise
    leave(
      f"stopped: {error.filename or 'what is printed'} cannot be written ({error.strerror}); "
      "give the same command again once it can",
      errors.EXIT_SAVE_FAILED,
    )
  except tuple(ENDS) as error:
    word, code = next(end for kind, end in ENDS.items() if isinstance(error, kind))
    leave(f"{word}: {error}", code)


def leave(line: str, code: int) -> NoReturn:
  """Prints a line and exits, at once where other processes may hang."""
  print(line, file=sys.stderr, flush=True)
  jax = sys.modules.get("jax")
  if jax and jax.distributed.is_initialized():  # leaving in order would wait for them
    os._exit(code)
  sys.exit(code)
