"""Runs a command that has no devices of its own; however it ends, the exit code says how."""

import logging
from collections.abc import Callable

from contrastive_jax.cli.leave import by_name, leave


def run(
  act: Callable[[], None],
  interrupted: str = "the same command goes on, each run from its last checkpoint",
) -> None:
  """Acts, without JAX, and exits if something was wrong.

  Args:
    act: what the command does.
    interrupted: what is said after Ctrl-C.
  """
  log, handler = logging.getLogger("contrastive_jax"), logging.StreamHandler()
  log.addHandler(handler)
  log.setLevel(logging.INFO)
  log.propagate = False
  try:
    with by_name():
      act()
  except KeyboardInterrupt:
    leave(f"interrupted; {interrupted}", 130)
  finally:  # who calls this in a process of their own logs as they did
    log.removeHandler(handler)
    log.propagate = True
