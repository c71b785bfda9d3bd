"""Runs under the supervisor, and what kills them at random moments; for tests and benchmarks."""

import os
import shlex
import signal
import subprocess
import sys
import time
from typing import NamedTuple

import damage
import left_over
import members

from contrastive_jax import checkpoint_names
from contrastive_jax.workdir import loading


class Run(NamedTuple):
  """A run of the tests under the supervisor."""

  method: str
  changes: dict = {}  # of its config
  before: str = ""  # code of its config file


RUNS = {
  "simclr": Run("simclr"),
  "moco": Run("moco", {"method__queue_size": 64}),
  "byol": Run("byol", {"method__head_width": 32, "method__predictor_width": 32}),
}


def launch(
  *command, restarts, processes=1, pause_s=0, stderr=subprocess.PIPE, environment=(), **options
):
  arguments = [f"--restarts={restarts}", f"--pause_s={pause_s}", f"--processes={processes}"]
  arguments += ["--grace_s=5", "--", *command]
  return subprocess.Popen(
    [sys.executable, "-m", "contrastive_jax.launch", *arguments],
    env=members.environment(**dict(environment)),
    stderr=stderr,
    text=True,
    **options,
  )


# A run that has done its work waits here for its end, so that no kill comes too late.
WAITS = """
import atexit, os, pathlib, time

@atexit.register
def wait():
  folder = pathlib.Path({folder!r})
  (folder / f"done.{{os.getpid()}}").touch()
  while not (folder / "may_end").exists():
    time.sleep(0.01)
"""


def train_command(folder, asked, epochs):
  """train.py on the tiny config of a run, in a shell that first notes its process id."""
  before = asked.before + WAITS.format(folder=str(folder))
  config = members.config_file(
    folder, before=before, method=asked.method, epochs=epochs, **asked.changes
  )
  run = shlex.join(members.training(config, folder / "run"))
  return "sh", "-c", f'echo $$ >> {folder / "pids"}; exec {run} "$@"', "sh"


def kill_at_random(process, folder, kills, rng, processes, watched):
  """Kills a member of the supervised run: while it starts, while it writes a checkpoint, or later.

  Returns the moments of the kills in words.
  """
  moments, seen_pids = [], 0
  saved = folder / "run" / "checkpoints"

  def seen():
    names = os.listdir(saved) if saved.is_dir() else []
    return sorted(n for n in names if not n.startswith(checkpoint_names.TRIAL))

  while len(moments) < kills:
    assert process.poll() is None, (folder / "log").read_text()
    pids = (folder / "pids").read_text().split() if (folder / "pids").exists() else []
    if len(pids) < seen_pids + processes:  # they are not all started again
      time.sleep(0.005)
      continue
    seen_pids, before, early = len(pids), seen(), rng.random() < 0.3
    victim = int(rng.choice(pids[-processes:]))
    # Seconds of importing, initialising, restoring.
    until = time.monotonic() + (rng.uniform(0, 5) if early else float("inf"))
    while seen() == before and not (folder / f"done.{victim}").exists():
      if process.poll() is not None or time.monotonic() > until:
        break
      time.sleep(0.002)
    if not early:
      time.sleep(rng.uniform(0, 0.3))
    watched.look()
    try:
      os.kill(victim, signal.SIGKILL)
      moments.append(
        "starting" if early else "saving" if any("tmp" in n for n in seen()) else "stepping"
      )
    except ProcessLookupError:
      pass  # another member's failure ended it
  (folder / "may_end").touch()
  return moments


def final_state(folder):
  """The digests of every leaf of the last state, compared with those of its manifest."""
  step = loading.saved_steps(str(folder / "run"))[-1]
  return step, damage.digests(folder / "run", step)


def undisturbed_and_killed(folder, asked, epochs, kills, rng, processes=1):
  """Returns (final state of a whole run, of one killed at random moments, the moments, its log).

  Fails if the runs leave a process or a segment of shared memory.
  """
  found, watched = [], left_over.Watched()
  # Of its own: a process that is killed may leave half an entry in it.
  environment = {"JAX_COMPILATION_CACHE_DIR": str(folder / "cache")} | watched.environment
  for name, number in (("whole", 0), ("killed", kills)):
    command = train_command(folder / name, asked, epochs)
    with (folder / name / "log").open("w") as log:  # not a pipe: nobody reads while we kill
      process = launch(
        *command,
        restarts=2 * number + 1,  # after a kill a second start may meet what is left of the first
        processes=processes,
        stdout=subprocess.DEVNULL,  # gloo talks there
        stderr=log,
        environment=environment,
      )
      moments = kill_at_random(process, folder / name, number, rng, processes, watched)
      code = process.wait()
    text = (folder / name / "log").read_text()
    assert code == 0, text
    found.append(final_state(folder / name))
    assert watched.left() == ([], []), "processes and segments left"
  return *found, moments, text
