"""The supervisor starts again what died, and leaves no process behind."""

import errno
import os
import signal
import subprocess
import sys

import left_over
import members
import pytest
from supervised import launch

from contrastive_jax import errors
from contrastive_jax import launch as launch_lib


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
  _, err = process.communicate(timeout=300)
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
  out, err = process.communicate(timeout=300)
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
  process.communicate(timeout=300)  # until nobody holds its output
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
  process.communicate(timeout=300)
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
  process.communicate(timeout=300)  # until nobody holds its output
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
  out, err = process.communicate(timeout=300)
  assert (out, process.returncode, err) == ("told\n", 130, "")


def test_several_processes_get_their_places_and_end_together():
  tell = "import sys, time\nprint(' '.join(sys.argv[1:]) + '\\n', end='', flush=True)\n"
  wait = "time.sleep(1000 if sys.argv[-1] == '--process_id=1' else 0)\nsys.exit(74)"
  process = launch(*script(tell + wait), restarts=0, processes=2, stdout=subprocess.PIPE)
  out, err = process.communicate(timeout=300)
  flags = sorted(line.split() for line in out.splitlines())
  assert flags[0][0] == flags[1][0] and flags[0][0].startswith("--coordinator=127.0.0.1:")
  assert [f[1:] for f in flags] == [["--num_processes=2", f"--process_id={i}"] for i in (0, 1)]
  assert process.returncode == 74 and "ended with code 74; no restart of 0 is left" in err


@pytest.mark.parametrize(
  "word", ["--processes=0", "--processes=9999999", "--restarts=-1", "--pause_s=nan", "--grace_s=-1"]
)
def test_an_option_out_of_its_range_is_refused_before_anything_starts(word, capfd, tmp_path):
  with pytest.raises(SystemExit) as left:
    launch_lib.main([word, "--", "touch", str(tmp_path / "started")])
  assert left.value.code == 2 and word.partition("=")[0] in capfd.readouterr().err
  assert not (tmp_path / "started").exists()
