"""Starts a run again when it dies; as several processes of this machine if asked to.

contrastive_jax launch --restarts=10 -- contrastive_jax train --config=... --workdir=...
contrastive_jax launch --processes=2 -- contrastive_jax train --config=... --workdir=...

A run goes on from its last checkpoint, so the command is simply repeated. What starting again
cannot mend is left alone: success, a user's mistake, a loss that stays not finite. SIGTERM and
SIGINT are passed on, and then nothing is started again; so is SIGHUP, as SIGTERM.

A member has a process group of its own: Ctrl-C reaches it once, from here, and what it had started
is ended when it is gone. On Linux a member gets SIGTERM if its supervisor is killed.

Each start waits twice as long as the one before. A new checkpoint in the command's --workdir is
progress: restarts and pause count from the beginning again.

Several processes are one run: where one of them dies the others are ended, and all start again.
"""

import argparse
import contextlib
import ctypes
import functools
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence

from contrastive_jax import checkpoint_names, errors, orphan, paths
from contrastive_jax.buckets import address, objects, steps

_FINAL = (errors.EXIT_OK, errors.EXIT_USER_ERROR, errors.EXIT_NON_FINITE)
_POLL_S = 0.05
_LEFT_OVER_S = 2.0  # for what a member had started to end by SIGTERM
_LONGEST_PAUSE_S = 300.0
_MOST_PROCESSES = 1024
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: Sequence[str]) -> int:
  """Runs the command until it is done.

  Returns:
    The exit code of the member that ended first with another than 0, of the last start; 128 + n if
    signal n killed it.
  """
  parser = argparse.ArgumentParser(prog="contrastive_jax launch")
  parser.add_argument("--restarts", type=int, default=10, help="in a row without a new checkpoint")
  parser.add_argument("--pause_s", type=float, default=1.0, help="before the first of them")
  parser.add_argument(
    "--processes", type=int, default=1, help="of one run, all on this machine (train, eval, ...)"
  )
  parser.add_argument(
    "--grace_s", type=float, default=10.0, help="for the others to end after the death of one"
  )
  parser.add_argument(
    "--parent", type=int, help="process that starts this one, without which nothing is to go on"
  )
  parser.add_argument("command", nargs="+", help="after --")
  options = parser.parse_args(arguments)
  if not 1 <= options.processes <= _MOST_PROCESSES:
    parser.error(
      f"--processes={options.processes} is outside 1..{_MOST_PROCESSES}; use 1 for a run of one "
      "process"
    )
  if options.restarts < 0:
    parser.error(f"--restarts={options.restarts} is below 0; use 0 to start nothing again")
  for name in ("pause_s", "grace_s"):
    if not 0 <= getattr(options, name) <= _LONGEST_PAUSE_S:
      parser.error(
        f"--{name}={getattr(options, name):g} is outside 0..{_LONGEST_PAUSE_S:g}; use e.g. 1"
      )

  members: list[subprocess.Popen] = []
  told = threading.Event()  # to leave

  def leave(number, _=None):
    told.set()
    _signal(members, signal.SIGTERM if number == signal.SIGHUP else number)

  for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) != signal.SIG_IGN:  # as nohup does
      signal.signal(number, leave)
  if options.parent is not None:
    orphan.when_orphaned(options.parent, functools.partial(leave, signal.SIGTERM))

  restarts, pause_s, saved = 0, options.pause_s, _newest(options.command)
  while True:
    members.clear()
    try:
      for extra in _places(options.processes):
        members.append(_start([*options.command, *extra]))
    except OSError as error:
      _signal(members, signal.SIGKILL)  # they would wait for the others
      for member in members:
        member.wait()
        _end_group(member)
      _say(f"{options.command[0]} cannot be started: {error.strerror}")
      return errors.EXIT_USER_ERROR
    if told.is_set():  # it came while they were being started
      _signal(members, signal.SIGTERM)
    first = _wait(members, options.grace_s)
    for member in members:
      _end_group(member)
    code = first.returncode
    if code in _FINAL or told.is_set():
      break
    end = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    before, saved = saved, _newest(options.command)
    if saved > before:
      restarts, pause_s = 0, options.pause_s
    if restarts == options.restarts:
      _say(f"process {first.pid} {end}; no restart of {options.restarts} is left")
      break
    restarts += 1
    _say(f"process {first.pid} {end}; restart {restarts} of {options.restarts} in {pause_s:g} s")
    if told.wait(pause_s):
      break
    pause_s = min(2 * pause_s, max(_LONGEST_PAUSE_S, options.pause_s))
  return code if code >= 0 else 128 - code


def _start(command: Sequence[str]) -> subprocess.Popen:
  """Starts a member: the leader of a process group, told where the system can if we are killed."""
  if sys.platform != "linux":
    return subprocess.Popen(command, process_group=0)
  tell = functools.partial(ctypes.CDLL(None).prctl, _PR_SET_PDEATHSIG, signal.SIGTERM)
  return subprocess.Popen(command, process_group=0, preexec_fn=tell)


def _end_group(member: subprocess.Popen) -> None:
  """Ends what a member that is gone had started: by SIGTERM, and by SIGKILL what does not go."""
  with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: the latter for zombies
    os.killpg(member.pid, signal.SIGTERM)
    since = time.monotonic()
    while time.monotonic() - since < _LEFT_OVER_S:
      os.killpg(member.pid, 0)
      time.sleep(_POLL_S)
    os.killpg(member.pid, signal.SIGKILL)


def _newest(command: Sequence[str]) -> int:
  """Returns the step of the newest checkpoint in the --workdir of a command, 0 if there is none."""
  workdir = None
  for word, after in zip(command, [*command[1:], ""], strict=True):
    if match := re.fullmatch(r"--?workdir(?:=(.*))?", word, re.DOTALL):
      workdir = after if match[1] is None else match[1]
  if not workdir:
    return 0
  if address.is_bucket(workdir):
    try:
      return max(steps.marked(_names_in_bucket(workdir)), default=0)
    except Exception:  # of any kind: the command itself tells what is wrong with the bucket
      return 0
  try:
    names = os.listdir(os.path.join(paths.local(workdir, "--workdir"), "checkpoints"))
  except (OSError, errors.UserError):  # of which the command tells
    return 0
  return max(checkpoint_names.steps(names), default=0)


def _names_in_bucket(workdir: str) -> Iterable[str]:
  """Returns the names of what a run has below its folder of checkpoints; asks once."""
  place = objects.Objects(address.parsed(workdir, "--workdir"), pauses_s=())
  return place.listed("checkpoints")


def _places(processes: int) -> list[list[str]]:
  """Returns the flags that tell each process its place; none if it is alone."""
  if processes == 1:
    return [[]]
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    coordinator = f"127.0.0.1:{free.getsockname()[1]}"
  return [
    [f"--coordinator={coordinator}", f"--num_processes={processes}", f"--process_id={i}"]
    for i in range(processes)
  ]


def _wait(members: Sequence[subprocess.Popen], grace_s: float) -> subprocess.Popen:
  """Waits for all, ends those that outlive another's failure; returns the first that failed."""
  if len(members) == 1:
    members[0].wait()
    return members[0]
  failed = None
  while any(member.poll() is None for member in members):
    if failed is None:
      failed = next((m for m in members if m.poll() not in (None, errors.EXIT_OK)), None)
      since = time.monotonic()
    elif time.monotonic() - since > grace_s:
      _signal(members, signal.SIGKILL)
    time.sleep(_POLL_S)
  ended = [failed, *members] if failed else members
  return next((m for m in ended if m.returncode != errors.EXIT_OK), members[0])


def _signal(members: Sequence[subprocess.Popen], number: int) -> None:
  for member in members:
    if member.poll() is None:
      with contextlib.suppress(ProcessLookupError):
        member.send_signal(number)


def _say(line: str) -> None:
  print(f"launch: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
