"""Processes of one run disagree, leave and die together, each with its code and a line."""

import re
import signal

import members
import pytest

from contrastive_jax import errors
from contrastive_jax.workdir import loading


def member(folder, index, *flags, port, epochs=2, before=""):
  """Starts one of the two processes of a tiny run; `before` is code for its config file."""
  config = members.config_file(folder, before=before, epochs=epochs)
  place = [f"--coordinator=127.0.0.1:{port}", "--num_processes=2", f"--process_id={index}"]
  return members.start(*members.training(config, folder / "run", *place, *flags))


def pair(folder, *flags_of_each, **options):
  port = members.free_port()
  flags_of_each = flags_of_each or ((), ())
  return [member(folder, i, *flags, port=port, **options) for i, flags in enumerate(flags_of_each)]


def last_line(text):
  return text.splitlines()[-1]


@pytest.mark.slow
def test_unequal_configs_are_refused_by_the_name_of_the_process(tmp_path):
  codes, said = members.ends(pair(tmp_path, (), ("--config.seed=1",)))
  assert codes == [errors.EXIT_USER_ERROR] * 2, said
  for text in said:
    assert re.search(r"error: process 1 on \S+ has config.seed 1, process 0 .* 0; start all", text)
    assert "Traceback" not in text
  assert not (tmp_path / "run").exists()


ONE_HAS_NO_IMAGES = """
import sys

from contrastive_jax import errors, run_images

source = run_images.source


def missing(*args):
  if "--process_id=1" in sys.argv:
    raise errors.UserError("no images here; mount the disk")
  return source(*args)


run_images.source = missing
"""


@pytest.mark.slow
def test_what_one_process_alone_cannot_do_ends_all_with_its_words(tmp_path):
  codes, said = members.ends(pair(tmp_path, before=ONE_HAS_NO_IMAGES))
  assert codes == [errors.EXIT_USER_ERROR] * 2, said
  for text in said:
    assert re.search(r"error: process 1 on \S+: no images here; mount the disk", last_line(text))


@pytest.mark.slow
def test_sigterm_to_one_process_saves_and_ends_all_after_the_same_step(tmp_path):
  started = pair(tmp_path, epochs=5000)
  members.wait_for_saves(started, tmp_path / "run")
  started[1].send_signal(signal.SIGTERM)
  codes, said = members.ends(started)
  assert codes == [errors.EXIT_PREEMPTED] * 2, said
  steps = [re.search(r"left: SIGTERM: saved step (\d+)", text).group(1) for text in said]
  assert steps[0] == steps[1] == str(loading.saved_steps(str(tmp_path / "run"))[-1])


@pytest.mark.slow
@pytest.mark.thorough
def test_ctrl_c_to_one_process_saves_and_ends_all_after_the_same_step(tmp_path):
  started = pair(tmp_path, epochs=5000)
  members.wait_for_saves(started, tmp_path / "run")
  started[1].send_signal(signal.SIGINT)
  codes, said = members.ends(started)
  assert codes == [errors.EXIT_PREEMPTED, 130], said
  step = loading.saved_steps(str(tmp_path / "run"))[-1]
  assert f"left: SIGTERM: saved step {step}" in said[0]
  assert f"goes on from the last checkpoint, step {step}" in said[1]


SIGTERM_INSIDE = """
import os
import signal
import sys

from contrastive_jax.{package} import {module}

call = {module}.{function}


def signalled(*args, **options):
  if "--process_id={process}" in sys.argv:
    os.kill(os.getpid(), signal.SIGTERM)
  return call(*args, **options)


{module}.{function} = signalled
"""
SCORED = (
  "--config.data.held_out=16",
  "--config.monitor.every_epochs=1",
  "--config.monitor.max_train=32",
  "--config.monitor.batch_size=32",
  "--config.monitor.k=5",
)


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize(
  "package, module, function, process",
  [("evaluation", "features", "extract", 1), ("workdir", "part_files", "write", 0)],
)
def test_sigterm_to_one_process_that_scores_or_saves_ends_all_after_a_save(
  tmp_path, package, module, function, process
):
  before = SIGTERM_INSIDE.format(package=package, module=module, function=function, process=process)
  codes, said = members.ends(pair(tmp_path, SCORED, SCORED, epochs=50, before=before))
  assert codes == [errors.EXIT_PREEMPTED] * 2, said
  steps = [re.search(r"left: SIGTERM: saved step (\d+)", text).group(1) for text in said]
  assert steps[0] == steps[1] == str(loading.saved_steps(str(tmp_path / "run"))[-1])
  assert int(steps[0]) < 16, "at once"


NOT_FINITE = """
import broken

from contrastive_jax import methods

methods.get = broken.not_finite_at(5, 6, 7)
"""


@pytest.mark.slow
@pytest.mark.thorough
def test_steps_that_are_not_finite_end_all_processes_alike(tmp_path):
  codes, said = members.ends(pair(tmp_path, epochs=5, before=NOT_FINITE))
  assert codes == [errors.EXIT_NON_FINITE] * 2, said
  for text in said:
    assert re.search(r"stopped: loss is nan.* at step 8, the 3. not finite", last_line(text))
  assert loading.saved_steps(str(tmp_path / "run")) == [4]


@pytest.mark.slow
def test_a_process_that_never_comes_is_waited_for_no_longer_than_asked(tmp_path):
  alone = member(tmp_path, 0, "--connect_timeout_s=3", port=members.free_port())
  [code], [said] = members.ends([alone])
  assert code == errors.EXIT_PEER_LOST, said
  assert "stopped: process 0 of 2 at 127.0.0.1" in last_line(said)
  assert "not all came within 3 s" in last_line(said)


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, pytest.param(1, marks=pytest.mark.thorough)])
def test_the_death_of_a_process_ends_the_others(tmp_path, lost):
  started = pair(tmp_path, epochs=5000)
  members.wait_for_saves(started, tmp_path / "run")
  started[lost].kill()
  codes, said = members.ends(started)
  survivor = 1 - lost
  assert codes[lost] == -signal.SIGKILL
  if lost == 0 and codes[survivor] == -signal.SIGABRT:
    return  # JAX's client missed its coordinator first; the supervisor starts both again
  assert codes[survivor] == errors.EXIT_PEER_LOST, said[survivor]
  assert "lost another process" in last_line(said[survivor])
  assert "Traceback" not in said[survivor]


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [1, pytest.param(0, marks=pytest.mark.thorough)])
def test_a_stopped_process_is_named_by_the_other(tmp_path, stopped):
  """Also process 0, which the signs of life of all go through."""
  flags = ("--config.watchdog.peer_silent_s=15",)
  started = pair(tmp_path, flags, flags, epochs=5000)
  members.wait_for_saves(started, tmp_path / "run")
  started[stopped].send_signal(signal.SIGSTOP)
  started[1 - stopped].wait(timeout=120)
  started[stopped].kill()
  codes, said = members.ends(started)
  named = said[1 - stopped]
  assert codes[1 - stopped] == errors.EXIT_PEER_LOST, said
  assert re.search(rf"stopped: process {stopped} on \S+ gives no sign of life for \d+ s", named)


HANG = """
import sys
import time

from contrastive_jax.training import trainer

load, enter = trainer.pipeline.train_batches, trainer.Watchdog.__enter__
watchdogs = []


class Hanging:
  def __init__(self, *args, **options):
    self._batches = load(*args, **options)

  def __getattr__(self, name):
    return getattr(self._batches, name)

  def __iter__(self):
    return self.hang()

  def hang(self):
    for number, batch in enumerate(self._batches):
      if number == 6 and "--process_id=1" in sys.argv:
        watchdogs[0]._stuck_after_s = 4.0  # not from the start: compiling may take any time
        time.sleep(1000)
      yield batch


trainer.pipeline.train_batches = Hanging
trainer.Watchdog.__enter__ = lambda self: watchdogs.append(self) or enter(self)
"""


@pytest.mark.slow
@pytest.mark.thorough
def test_a_loader_that_hangs_is_named_with_its_stack(tmp_path):
  started = pair(tmp_path, before=HANG)
  codes, said = members.ends(started)
  assert codes[1] == errors.EXIT_STUCK, said
  assert re.search(r"stopped: process 1 on \S+ is loading the batch of step 7 for \d+ s", said[1])
  assert "in hang" in said[1], "the stack names the line that hangs"
  assert codes[0] == errors.EXIT_PEER_LOST, said
