"""Starts a run again when it dies.

python -m contrastive_jax.launch --restarts=10 -- python train.py --config=... --workdir=...

A run goes on from its last checkpoint, so the command is simply repeated. What starting again
cannot mend is left alone: success, a user's mistake, a loss that stays not finite. SIGTERM and
SIGINT are passed on, and then nothing is started again.
"""

import argparse
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

from contrastive_jax import errors

_FINAL = (errors.EXIT_OK, errors.EXIT_USER_ERROR, errors.EXIT_NON_FINITE)


def main(arguments: Sequence[str]) -> int:
  """Runs the command until it is done.

  Returns:
    Its last exit code; 128 + n if signal n killed it.
  """
  parser = argparse.ArgumentParser(prog="python -m contrastive_jax.launch")
  parser.add_argument("--restarts", type=int, default=10, help="starts after the first, at most")
  parser.add_argument("--pause_s", type=float, default=1.0, help="seconds before each of them")
  parser.add_argument("command", nargs="+", help="after --")
  options = parser.parse_args(arguments)

  child = None
  told = threading.Event()  # to leave

  def leave(number, _):
    told.set()
    if child and child.poll() is None:
      child.send_signal(number)

  for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, leave)

  for restarts_left in range(options.restarts, -1, -1):
    try:
      child = subprocess.Popen(options.command)
    except OSError as error:
      _say(f"{options.command[0]} cannot be started: {error.strerror}")
      return errors.EXIT_USER_ERROR
    if told.is_set():  # it came while the child was being started
      child.send_signal(signal.SIGTERM)
    code = child.wait()
    if code in _FINAL or told.is_set():
      break
    end = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    if not restarts_left:
      _say(f"process {child.pid} {end}; no restart of {options.restarts} is left")
      break
    number = options.restarts - restarts_left + 1
    _say(f"process {child.pid} {end}; restart {number} of {options.restarts}")
    if told.wait(options.pause_s):
      break
  return code if code >= 0 else 128 - code


def _say(line: str) -> None:
  print(f"launch: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
