"""A state is saved by the clock of process 0 where epochs take too long."""

import itertools
import types

import jax
import pytest
import tiny_config
import whole_runs

from contrastive_jax import parallel
from contrastive_jax.processes import agree
from contrastive_jax.training import minutes as minutes_lib
from contrastive_jax.training import trainer
from contrastive_jax.training.minutes import Minutes
from contrastive_jax.workdir import loading


@pytest.fixture
def clock(monkeypatch):
  now = types.SimpleNamespace(s=100.0)
  monkeypatch.setattr(minutes_lib, "time", types.SimpleNamespace(monotonic=lambda: now.s))
  return now


def saves(minutes, clock, of_steps, seconds=15.0):
  """The steps, of so many seconds each, after which a state is saved."""
  found = []
  minutes.start()
  for step in range(1, of_steps + 1):
    clock.s += seconds
    if minutes.are_over():
      found.append(step)
      minutes.start()
  return found


def test_so_many_minutes_after_a_save_comes_the_next(clock):
  mesh = parallel.make_mesh(jax.devices()[:1])
  assert saves(Minutes(1.0, mesh), clock, 13) == [4, 8, 12]
  assert saves(Minutes(0.1, mesh), clock, 3) == [1, 2, 3]
  assert saves(Minutes(0.0, mesh), clock, 13) == []


def test_of_several_processes_the_first_one_decides_a_step_later_and_once(clock, monkeypatch):
  """What was asked before a save does not call for another one."""
  mesh = parallel.make_mesh(jax.devices()[:2])
  monkeypatch.setattr(agree.jax, "process_count", lambda: 2)
  assert saves(Minutes(1.0, mesh), clock, 14) == [5, 10]
  monkeypatch.setattr(minutes_lib.jax, "process_index", lambda: 1)
  assert saves(Minutes(1.0, mesh), clock, 14) == []


def test_a_run_saves_by_the_clock_and_by_epochs(tmp_path, monkeypatch):
  asked = itertools.count(1)
  monkeypatch.setattr(Minutes, "are_over", lambda self: next(asked) % 3 == 0)
  c = tiny_config.tiny(epochs=2, checkpoint__keep=9)
  trainer.train(c, str(tmp_path), whole_runs.one_device())
  assert loading.saved_steps(str(tmp_path)) == [3, 4, 6, 8]
