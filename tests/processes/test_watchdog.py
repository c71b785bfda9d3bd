"""A watchdog sees what hangs, in the loop and beside it."""

import re
import threading
import time

import pytest
from states import state

from contrastive_jax import errors
from contrastive_jax.processes import watchdog
from contrastive_jax.workdir import checkpoint, loading, part_files


@pytest.fixture(autouse=True)
def may_end(monkeypatch):
  """The process of a command, for this test alone."""
  event = threading.Event()
  event.set()
  monkeypatch.setattr(watchdog, "_MAY_END", event)
  return event


def test_a_save_that_hangs_in_the_background_ends_the_run(tmp_path, monkeypatch, capfd):
  ended, go_on, codes = threading.Event(), threading.Event(), []
  write = part_files.write
  monkeypatch.setattr(watchdog, "_BEAT_S", 0.02)
  monkeypatch.setattr(watchdog.os, "_exit", lambda code: (codes.append(code), ended.set()))
  monkeypatch.setattr(part_files, "write", lambda *a: (go_on.wait(60), write(*a))[1])
  checkpoints, saved = checkpoint.Checkpoints(str(tmp_path)), state(3)
  with watchdog.Watchdog(stuck_after_s=1.0, peer_silent_s=0) as watching:
    watching.beside(checkpoints.under_way)
    checkpoints.save(3, saved)
    until = time.monotonic() + 60
    while not ended.wait(0.01) and time.monotonic() < until:
      watching.doing("computing step 4")  # the loop goes on
    watching.beside(lambda: None)
  go_on.set()
  checkpoints.close()
  assert codes and set(codes) == {errors.EXIT_STUCK}
  said = capfd.readouterr().err
  assert "is writing checkpoint 3 for" in said and "test_watchdog.py" in said, "with the stacks"
  assert loading.saved_steps(str(tmp_path)) == [3]


TOLD = re.compile(r"is compiling the step for 9\d\d s")


def three_beats():
  """Returns what a watchdog can ask beside its own work, and an event of when it has."""
  beats, three = [], threading.Event()
  return lambda: (beats.append(0), three.set() if len(beats) > 3 else None)[1], three


@pytest.mark.parametrize("age_s, ends", [(0.0, False), (900.0, True)])
def test_what_is_done_for_too_long_is_named(monkeypatch, capfd, age_s, ends):
  codes = []
  monkeypatch.setattr(watchdog, "_BEAT_S", 0.01)
  monkeypatch.setattr(watchdog.os, "_exit", codes.append)
  beside, three = three_beats()
  with watchdog.Watchdog(stuck_after_s=500, peer_silent_s=0) as watching:
    watching._doing = ("compiling the step", time.monotonic() - age_s)
    watching.beside(beside)
    assert three.wait(60)
  assert bool(codes) == ends
  assert bool(TOLD.search(capfd.readouterr().err)) == ends


def test_a_process_of_others_is_warned_once_and_lives(monkeypatch, capfd, may_end):
  """A notebook, or a program that calls `train`: it has more to lose than the run."""
  codes = []
  may_end.clear()
  monkeypatch.setattr(watchdog, "_BEAT_S", 0.01)
  monkeypatch.setattr(watchdog.os, "_exit", codes.append)
  beside, three = three_beats()
  with watchdog.Watchdog(stuck_after_s=500, peer_silent_s=0) as watching:
    watching.beside(beside)
    watching._doing = ("compiling the step", time.monotonic() - 900)
    assert three.wait(60)
  said = capfd.readouterr().err
  assert codes == []
  assert said.count("warning: process 0 on") == len(TOLD.findall(said)) == 1
  assert "test_watchdog.py" in said, "with the stacks"
