"""Where the time of a run went, told by a clock of the test's own."""

import json

from contrastive_jax.report import time_spent
from contrastive_jax.training import spent


class Clock:
  now = 0.0

  def __call__(self):
    return self.now


def session(path, start_step, phases, last_step):
  """Writes a session whose phases take so many seconds each."""
  clock = Clock()
  made = spent.Spent(path, start_step, begun=0.0, clock=clock)
  for phase, seconds in phases:
    made.doing(phase)
    clock.now += seconds
  made.tell(last_step, now=True)
  return made


def test_each_phase_has_its_seconds_and_the_first_step_is_compiling(tmp_path):
  clock = Clock()
  made = spent.Spent(tmp_path / "time.jsonl", 0, begun=0.0, clock=clock)
  clock.now = 5.0
  for phase, seconds in (("load", 1), ("step", 20), ("load", 2), ("step", 6), ("save", 3)):
    made.doing(phase)
    clock.now += seconds
  made.tell(2, now=True)
  assert made.seconds == {"start": 5, "load": 3, "compile": 20, "step": 6, "save": 3}
  assert made.waiting() == 3 / 9
  for phase, seconds in (("load", 1), ("step", 3)):
    made.doing(phase)
    clock.now += seconds
  assert made.waiting() == 0.25, "since it was last asked"


def test_lines_are_few_unless_one_is_due(tmp_path):
  path, clock = tmp_path / "time.jsonl", Clock()
  made = spent.Spent(path, 0, begun=0.0, clock=clock)
  for step in range(1, 101):
    clock.now += 1
    made.tell(step)
  assert path.read_text().count('"step"') == 1 + 3


def test_work_that_a_later_session_did_again_is_lost(tmp_path, monkeypatch):
  path = tmp_path / "time.jsonl"
  now = iter(range(1000, 2000))
  monkeypatch.setattr(spent.time, "time", lambda: next(now))
  session(path, 0, [("step", 4), ("load", 0), ("step", 80)], last_step=40)
  path.write_text(path.read_text() + '{"cut off')  # killed
  session(path, 30, [("step", 4), ("load", 0), ("step", 20)], last_step=40)
  first, second = time_spent.read(path)
  assert (first.lost_steps, first.lost_seconds) == (10, 20.0)
  assert (second.start_step, second.last_step, second.lost_steps) == (30, 40, 0)
  found = time_spent.totals([first, second])
  assert found["step"] == 80 and found["lost"] == 20 and found["compile"] == 8
  assert time_spent.goodput([first, second]) == 80 / 108
  assert json.loads(path.read_text().splitlines()[1])["command"]


def test_a_disk_that_is_full_does_not_end_the_run(tmp_path):
  session(tmp_path / "no_folder" / "time.jsonl", 0, [("step", 1)], 1)


def test_the_command_is_one_that_somebody_can_give_again():
  """As `python -m` starts it, and as one of several processes that `launch` starts."""
  words = ["/lib/contrastive_jax/__main__.py", "train", "--workdir=runs/my first"]
  place = ["--coordinator=127.0.0.1:4000", "--num_processes=2", "--process_id=0"]
  told = "contrastive_jax train '--workdir=runs/my first'"
  assert spent._command(words + place) == told
