"""Runs a command on its devices; however it ends, the exit code says how."""

import logging
import sys
import traceback

import jax
from absl import logging as absl_logging

from contrastive_jax import config_files, errors, hiding
from contrastive_jax.buckets import address
from contrastive_jax.cli import compiled
from contrastive_jax.cli.command import Asked, Command
from contrastive_jax.cli.leave import by_name, leave
from contrastive_jax.processes import hosts, watchdog


def run(command: Command, asked: Asked, in_turn: bool = False) -> None:
  """Joins the other processes if there are any, runs, and exits if something was wrong.

  Args:
    command: that is run.
    asked: of it.
    in_turn: programs for a CPU run in the thread that asks for them, which waits for each.
  """
  if in_turn:
    jax.config.update("jax_cpu_enable_async_dispatch", False)
  try:
    with by_name():
      with_others = command.on_devices(asked.flags)
      if with_others:
        _connect(command, asked)
      _log_to_stderr()
      watchdog.end_this_process()  # where a run hangs: it is the command's own
      hiding.alone()
      if with_others and asked.flags["keep_compiled"].value:
        compiled.keep()
      command.run(asked)
  except KeyboardInterrupt:
    leave(f"interrupted; {_what_next(command, asked)}", 130)
  except Exception as error:
    if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error):
      leave(f"error: {_out_of_memory(error)}", errors.EXIT_USER_ERROR)
    # Shown in full; raised on, it would wait at the exit for processes that hang.
    if not jax.distributed.is_initialized():
      raise
    traceback.print_exc()
    leave("stopped: by the error above", 1)


def _what_next(command: Command, asked: Asked) -> str:
  """Says what the same command would do after Ctrl-C."""
  if command.interrupted:
    return command.interrupted
  if command.kind == config_files.EVALUATIONS:
    return "what it printed is also in WORKDIR/eval or --out; the same command scores all again"
  from contrastive_jax.workdir import checkpoint_files  # which a plan does without

  workdir = asked.flags["workdir"].value
  if address.is_bucket(workdir):
    return "the same command goes on from the last checkpoint, if there is one"
  steps = checkpoint_files.steps_in(checkpoint_files.root(workdir)) if workdir else []
  if not command.on_devices(asked.flags) or not steps:
    return "nothing was saved yet: the same command starts from the beginning"
  return f"the same command goes on from the last checkpoint, step {steps[-1]}"


def _connect(command: Command, asked: Asked) -> None:
  if not asked.flags["workdir"].value and command.needs_workdir(asked.flags):
    raise errors.UserError("--workdir is missing; give a directory, e.g. --workdir=runs/first")
  place = (asked.flags[name].value for name in ("coordinator", "num_processes", "process_id"))
  hint = hosts.connect(*place, timeout_s=asked.flags["connect_timeout_s"].value)
  if hint:
    print(f"hint: {hint}", file=sys.stderr, flush=True)


def _log_to_stderr() -> None:
  """Prints what the package logs as it is, from process 0; of others' logs only warnings.

  What a process alone can know is logged with `extra={"of_any_process": True}`. What is odd about a
  set is told once, though each of its splits that is opened tells it.
  """
  absl_logging.set_verbosity(absl_logging.WARNING)
  handler = logging.StreamHandler()
  handler.addFilter(lambda record: hasattr(record, "of_any_process") or jax.process_index() == 0)
  told: set[str] = set()
  handler.addFilter(lambda record: not _is_repeated(record, told))
  log = logging.getLogger("contrastive_jax")
  log.addHandler(handler)
  log.setLevel(logging.INFO)
  log.propagate = False


def _is_repeated(record: logging.LogRecord, told: set[str]) -> bool:
  """Returns whether a line about images is among those `told`; adds it."""
  if not record.name.startswith("contrastive_jax.data."):
    return False
  before, text = len(told), record.getMessage()
  told.add(text)
  return len(told) == before


def _out_of_memory(error: Exception) -> str:
  reason = " ".join(str(error).split()).removeprefix("RESOURCE_EXHAUSTED: ")[:200]
  return (
    f"too little memory ({reason}); take a smaller --config.batch_size, or to train with this one "
    "--config.model.remat=True or more --config.micro_batches (--config.fit_memory=True chooses), "
    "and see that no other process holds the device's memory"
  )
