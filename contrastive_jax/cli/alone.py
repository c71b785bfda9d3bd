"""Runs a command that has no devices of its own; however it ends, the exit code says how."""

import logging

from contrastive_jax import errors
from contrastive_jax.cli.command import Asked, Command
from contrastive_jax.cli.leave import leave


def run(command: Command, asked: Asked) -> None:
  """Runs, without JAX, and exits if something was wrong."""
  log = logging.getLogger("contrastive_jax")
  log.addHandler(logging.StreamHandler())
  log.setLevel(logging.INFO)
  log.propagate = False
  try:
    command.run(asked)
  except errors.UserError as error:
    leave(f"error: {error}", errors.EXIT_USER_ERROR)
  except errors.CellsFailed as error:
    leave(f"failed: {error}", errors.EXIT_CELLS_FAILED)
  except errors.ReadFailed as error:
    leave(f"stopped: {error}", errors.EXIT_READ_FAILED)
  except errors.SaveFailed as error:
    leave(f"stopped: {error}", errors.EXIT_SAVE_FAILED)
  except errors.Preempted as error:
    leave(f"left: {error}", errors.EXIT_PREEMPTED)
  except KeyboardInterrupt:
    leave("interrupted; the same command goes on, each run from its last checkpoint", 130)
