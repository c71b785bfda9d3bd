"""A study that is told to leave, killed, divided or started twice ends as one left alone.

Its commands are those of `stand_in`, as processes; benchmarks/study_kills.py takes real ones.
"""

import fcntl
import signal
import time

import numpy as np
import pytest
import small

from contrastive_jax import errors

pytestmark = pytest.mark.slow
ONE_SEED = "study.seeds = (0,)"


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
  """What the study ends with where nothing disturbs it."""
  root = tmp_path_factory.mktemp("alone")
  small.run_here(small.study(seeds=(0,)), root)
  return small.outcome(root), sorted(small.starts(root))


def wait_for_starts(root, count):
  """Waits until so many commands were started."""
  deadline = time.monotonic() + 300
  while not (root / "starts").exists() or len(small.starts(root)) < count:
    assert time.monotonic() < deadline
    time.sleep(0.02)


def no_child_is_left(root):
  """Waits until nobody holds a cell: the processes of a killed study leave too."""
  deadline = time.monotonic() + 300
  for path in root.glob("cells/*/cell.lock"):
    with path.open("a+") as file:
      while True:
        try:
          fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
          break
        except BlockingIOError:
          assert time.monotonic() < deadline
          time.sleep(0.05)


@pytest.mark.parametrize(
  ("number", "code", "said"),
  [
    (signal.SIGTERM, errors.EXIT_PREEMPTED, "left: SIGTERM"),
    pytest.param(
      signal.SIGINT, 130, "interrupted; the same command goes on", marks=pytest.mark.thorough
    ),
  ],
)
def test_a_study_that_is_told_to_leave_does_and_goes_on_later(number, code, said, tmp_path, alone):
  config = small.write(tmp_path, ONE_SEED)
  process = small.start(config, tmp_path)
  wait_for_starts(tmp_path, 3)
  process.send_signal(number)
  out, _ = process.communicate(timeout=300)
  assert process.returncode == code, out
  assert said in out.splitlines()[-1]
  assert "FAILED" not in out
  small.run_here(small.study(seeds=(0,)), tmp_path)
  assert small.outcome(tmp_path) == alone[0]


def killed(config, root, rng, kills, *words, longest_s=4.0):
  """Kills the study at random moments and starts it at once again; then leaves it alone."""
  for _ in range(kills):
    process = small.start(config, root, *words)
    time.sleep(rng.uniform(0.3, longest_s))
    process.kill()
    process.communicate()
  return small.run(config, root, *words)


@pytest.mark.thorough
def test_a_study_killed_at_random_ends_with_what_one_left_alone_has(tmp_path, alone):
  code, out = killed(
    small.write(tmp_path, ONE_SEED), tmp_path, np.random.default_rng(0), 3, "--jobs=2"
  )
  assert code == 0, out
  assert small.outcome(tmp_path) == alone[0]
  no_child_is_left(tmp_path)


def test_shards_at_once_and_a_study_started_twice_do_everything_once(tmp_path, alone):
  config = small.write(tmp_path, ONE_SEED)
  words = ["--shard=0/2"], ["--shard=1/2"], ["--only=batch=64"]
  processes = [small.start(config, tmp_path, *part) for part in words]
  for process in processes:
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
  assert small.outcome(tmp_path) == alone[0]
  assert sorted(small.starts(tmp_path)) == alone[1]
