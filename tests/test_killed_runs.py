"""A run that is killed again and again at random moments loses nothing."""

import numpy as np
import pytest
import whole_runs
from supervised import RUNS, undisturbed_and_killed


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
