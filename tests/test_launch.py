"""The supervisor starts again what died, and a run that is killed again and again loses nothing."""

import errno
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
import numpy as np
import pytest
import whole_runs

from contrastive_jax import checkpoint_names, errors
from contrastive_jax import launch as launch_lib
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


def script(text):
  return sys.executable, "-c", text


def times_run(counter, then):
  """A program that counts its starts in a file, then does `then`."""
  return script(f"import os, sys\nopen({str(counter)!r}, 'a').write('x')\n{then}")


@pytest.mark.parametrize(
  "then, restarts, starts, code, line",
  [
    ("sys.exit(0)", 3, 1, 0, None),
    ("sys.exit(2)", 3, 1, errors.EXIT_USER_ERROR, None),
    ("sys.exit(3)", 3, 1, errors.EXIT_NON_FINITE, None),
    ("sys.exit(1)", 2, 3, 1, "ended with code 1; no restart of 2 is left"),
    ("os.kill(os.getpid(), 9)", 1, 2, 137, "was killed by SIGKILL; restart 1 of 1"),
    (
      "if os.path.getsize(COUNTER) < 3: sys.exit(75)",
      5,
      3,
      0,
      "ended with code 75; restart 2 of 5",
    ),
  ],
)
def test_what_died_is_started_again_and_what_is_final_is_not(
  tmp_path, then, restarts, starts, code, line
):
  counter = tmp_path / "starts"
  process = launch(
    *times_run(counter, then.replace("COUNTER", repr(str(counter)))), restarts=restarts
  )
  _, err = process.communicate()
  assert (process.returncode, len(counter.read_text())) == (code, starts)
  assert line in err if line else not err


def test_a_new_checkpoint_gives_the_restarts_back_and_ends_the_pauses(tmp_path):
  """Dies at its first three starts without one, then once after each of two saves."""
  counter, saved = tmp_path / "starts", tmp_path / "run" / "checkpoints"
  then = (
    f"n = os.path.getsize({str(counter)!r})\n"
    f"if n in (4, 5): os.makedirs(os.path.join({str(saved)!r}, str(n)))\n"
    "sys.exit(0 if n == 6 else 1)"
  )
  command = [*times_run(counter, then), f"--workdir={tmp_path / 'run'}"]
  process = launch(*command, restarts=3, pause_s=0.01)
  _, err = process.communicate(timeout=60)
  told = [line.split("; ")[1] for line in err.splitlines()]
  assert told == [
    "restart 1 of 3 in 0.01 s",
    "restart 2 of 3 in 0.02 s",
    "restart 3 of 3 in 0.04 s",
    "restart 1 of 3 in 0.01 s",
    "restart 1 of 3 in 0.01 s",
  ]
  assert process.returncode == 0


def test_a_member_that_cannot_be_started_leaves_none_behind(monkeypatch, capfd):
  start, started = subprocess.Popen, []

  def second_fails(command, **_):
    if started:
      raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
    started.append(start([sys.executable, "-c", "import time; time.sleep(60)"]))
    return started[0]

  monkeypatch.setattr(launch_lib.subprocess, "Popen", second_fails)
  handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
  try:
    assert launch_lib.main(["--processes=2", "--", "train"]) == errors.EXIT_USER_ERROR
  finally:
    for number, handler in handlers.items():
      signal.signal(number, handler)
  assert started[0].poll() == -signal.SIGKILL
  assert "train cannot be started: Resource temporarily" in capfd.readouterr().err


def test_sigterm_reaches_the_run_and_nothing_is_started_again():
  ready = (
    "import signal, sys\nsignal.signal(15, lambda *_: sys.exit(75))\nprint('ready', flush=True)\n"
  )
  process = launch(*script(f"{ready}signal.pause()"), restarts=9, stdout=subprocess.PIPE)
  assert process.stdout.readline() == "ready\n"
  process.send_signal(signal.SIGTERM)
  out, err = process.communicate(timeout=60)
  assert (process.returncode, out, err) == (errors.EXIT_PREEMPTED, "", "")


def test_a_run_leaves_with_the_process_that_started_its_supervisor(tmp_path):
  told = tmp_path / "told"
  run = f"""import signal, sys
def leave(*_):
  open({str(told)!r}, "w")
  sys.exit(75)
signal.signal(15, leave)
print("ready", flush=True)
signal.pause()"""
  starter = f"""import os, subprocess, sys, time
launch = [sys.executable, "-m", "contrastive_jax.launch", f"--parent={{os.getpid()}}", "--"]
subprocess.Popen([*launch, sys.executable, "-c", {run!r}])
time.sleep(600)"""
  process = subprocess.Popen(
    script(starter), env=members.environment(), stdout=subprocess.PIPE, text=True
  )
  assert process.stdout.readline() == "ready\n"
  process.kill()
  process.communicate(timeout=60)  # until nobody holds its output
  assert told.exists()


READY = "print('ready', flush=True)\n"


@left_over.on_linux
@pytest.mark.parametrize("code", [0, errors.EXIT_STUCK])
def test_what_a_member_had_started_ends_with_it(code):
  """Also what ignores SIGTERM, and whatever code the member ends with."""
  watched = left_over.Watched()
  stays = f"import signal, time\nsignal.signal(15, signal.SIG_IGN)\n{READY}time.sleep(600)"
  run = (
    f"import os, subprocess, sys\nstays = [sys.executable, '-c', {stays!r}]\n"
    "p = subprocess.Popen(stays, stdout=subprocess.PIPE)\np.stdout.readline()\n"
    f"os._exit({code})"
  )
  process = launch(*script(run), restarts=0, environment=watched.environment)
  process.communicate(timeout=60)
  assert process.returncode == code
  assert watched.left() == ([], [])


@left_over.on_linux
def test_a_run_whose_supervisor_is_killed_is_told_to_save(tmp_path):
  told = tmp_path / "told"
  run = f"""import signal, sys
def leave(*_):
  open({str(told)!r}, "w")
  sys.exit(75)
signal.signal(15, leave)
{READY}signal.pause()"""
  process = launch(*script(run), restarts=9, stdout=subprocess.PIPE)
  assert process.stdout.readline() == "ready\n"
  process.kill()
  process.communicate(timeout=60)  # until nobody holds its output
  assert told.exists()


def test_ctrl_c_reaches_a_run_once_and_a_second_one_too():
  """A terminal sends it to the whole process group of the supervisor."""
  run = f"""import signal, sys, time
times = []
def told(*_):
  times.append(1)
  print("told", flush=True)
signal.signal(2, told)
{READY}while len(times) < 2:
  time.sleep(0.01)
sys.exit(130)"""
  process = launch(*script(run), restarts=9, stdout=subprocess.PIPE, process_group=0)
  assert process.stdout.readline() == "ready\n"
  os.killpg(process.pid, signal.SIGINT)
  assert process.stdout.readline() == "told\n"
  with pytest.raises(subprocess.TimeoutExpired):  # one that reached it twice would end
    process.wait(0.5)
  os.killpg(process.pid, signal.SIGINT)
  out, err = process.communicate(timeout=60)
  assert (out, process.returncode, err) == ("told\n", 130, "")


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


def test_several_processes_get_their_places_and_end_together():
  tell = "import sys, time\nprint(' '.join(sys.argv[1:]) + '\\n', end='', flush=True)\n"
  wait = "time.sleep(100 if sys.argv[-1] == '--process_id=1' else 0)\nsys.exit(74)"
  process = launch(*script(tell + wait), restarts=0, processes=2, stdout=subprocess.PIPE)
  out, err = process.communicate(timeout=60)
  flags = sorted(line.split() for line in out.splitlines())
  assert flags[0][0] == flags[1][0] and flags[0][0].startswith("--coordinator=127.0.0.1:")
  assert [f[1:] for f in flags] == [["--num_processes=2", f"--process_id={i}"] for i in (0, 1)]
  assert process.returncode == 74 and "ended with code 74; no restart of 0 is left" in err


def assert_no_step_is_logged_twice(folder):
  steps = [line["step"] for line in whole_runs.metrics(folder / "run")]
  assert steps == sorted(set(steps))


@pytest.mark.slow
@pytest.mark.thorough
def test_two_processes_of_which_one_is_killed_end_with_the_same_bits(tmp_path):
  rng = np.random.default_rng()
  expected, found, moments, log = undisturbed_and_killed(tmp_path, RUNS["simclr"], 6, 1, rng, 2)
  assert found == expected and found[0] == 24 and len(moments) == 1, log
  assert_no_step_is_logged_twice(tmp_path / "killed")


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_with_the_same_bits(tmp_path):
  rng = np.random.default_rng()
  expected, found, moments, log = undisturbed_and_killed(tmp_path, RUNS["simclr"], 20, 2, rng)
  assert found == expected and found[0] == 80
  assert log.count("was killed by SIGKILL; restart") == len(moments) == 2
  assert_no_step_is_logged_twice(tmp_path / "killed")


@pytest.mark.parametrize(
  "word", ["--processes=0", "--processes=9999999", "--restarts=-1", "--pause_s=nan", "--grace_s=-1"]
)
def test_an_option_out_of_its_range_is_refused_before_anything_starts(word, capfd, tmp_path):
  with pytest.raises(SystemExit) as left:
    launch_lib.main([word, "--", "touch", str(tmp_path / "started")])
  assert left.value.code == 2 and word.partition("=")[0] in capfd.readouterr().err
  assert not (tmp_path / "started").exists()
