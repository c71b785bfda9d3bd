"""SIGTERM in any phase of a run: it saves what there is and leaves with a code of its own."""

import os
import signal
import time

import jax
import members
import pytest
import whole_runs
from tiny_config import tiny, with_monitor

from contrastive_jax import errors
from contrastive_jax.evaluation import features
from contrastive_jax.processes import preemption
from contrastive_jax.step import guard
from contrastive_jax.training import monitor, trainer
from contrastive_jax.workdir import checkpoint, loading


def send_sigterm():
  os.kill(os.getpid(), signal.SIGTERM)


def sigterm_while_set_up(patch):
  create = monitor.Monitor.create
  patch.setattr(monitor.Monitor, "create", lambda *a: (send_sigterm(), create(*a))[1])


def sigterm_while_traced(patch):
  keep = guard.keep_if_not_finite
  patch.setattr(guard, "keep_if_not_finite", lambda *a: (send_sigterm(), keep(*a))[1])


def sigterm_while_scored(patch):
  extract = features.extract
  patch.setattr(features, "extract", lambda *a, **k: (send_sigterm(), extract(*a, **k))[1])


def sigterm_while_saved(patch):
  write = checkpoint.Checkpoints._write  # of a step, not of the trial at the start
  patch.setattr(checkpoint.Checkpoints, "_write", lambda *a: (send_sigterm(), write(*a))[1])


@pytest.mark.parametrize(
  "phase, saved",
  [
    (sigterm_while_set_up, []),
    (sigterm_while_traced, []),
    (sigterm_while_scored, [2]),
    (sigterm_while_saved, [2]),
  ],
)
def test_sigterm_in_any_phase_saves_what_there_is_and_leaves(tmp_path, monkeypatch, phase, saved):
  c = with_monitor()
  c.epochs, c.monitor.every_epochs = 20, 1
  with monkeypatch.context() as patch:
    phase(patch)
    with pytest.raises(errors.Preempted):
      trainer.train(c, str(tmp_path), whole_runs.one_device())
  steps = loading.saved_steps(str(tmp_path))
  assert steps[: len(saved)] == saved
  assert len(steps) == len(saved) + (phase is sigterm_while_saved)  # it left one step or so later
  assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, "put back"


def ctrl_c():
  os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
  "package, name", [(features, "extract"), (checkpoint.Checkpoints, "_write")]
)
def test_a_first_ctrl_c_saves_as_sigterm_does(tmp_path, monkeypatch, capfd, package, name):
  """While it scores, or saves in another thread."""
  c = with_monitor()
  c.epochs, c.monitor.every_epochs = 20, 1
  call = getattr(package, name)
  with monkeypatch.context() as patch:
    patch.setattr(package, name, lambda *a, **k: (patch.undo(), ctrl_c(), call(*a, **k))[-1])
    with pytest.raises(KeyboardInterrupt, match="saved step"):
      trainer.train(c, str(tmp_path), whole_runs.one_device())
  assert loading.saved_steps(str(tmp_path))[0] == 2
  assert "interrupt: the run saves as soon as it can" in capfd.readouterr().err
  assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "put back"


def test_a_second_ctrl_c_ends_at_once():
  with pytest.raises(KeyboardInterrupt), preemption.Preemption():
    ctrl_c()
    time.sleep(0.01)
    ctrl_c()
    time.sleep(60)


def test_who_ignores_ctrl_c_or_answers_it_keeps_doing_so():
  old = signal.signal(signal.SIGINT, signal.SIG_IGN)  # nohup ... &
  try:
    with preemption.Preemption():
      assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
  finally:
    signal.signal(signal.SIGINT, old)


def test_sigterm_that_also_ends_a_compiler_is_no_error(tmp_path, monkeypatch):
  def compile(*_):
    send_sigterm()
    raise jax.errors.JaxRuntimeError("INTERNAL: ptxas exited with non-zero error code 15, output: ")

  monkeypatch.setattr(trainer, "_fitting", compile)
  with pytest.raises(errors.Preempted, match="SIGTERM: it ended what .*code 15, output:.* saved"):
    trainer.train(tiny(), str(tmp_path), whole_runs.one_device())


def test_an_error_of_jax_without_sigterm_stays_one(tmp_path, monkeypatch):
  def compile(*_):
    raise jax.errors.JaxRuntimeError("INTERNAL: no such kernel")

  monkeypatch.setattr(trainer, "_fitting", compile)
  with pytest.raises(jax.errors.JaxRuntimeError, match="no such kernel"):
    trainer.train(tiny(), str(tmp_path), whole_runs.one_device())


@pytest.mark.slow
@pytest.mark.parametrize(
  "number, code, said",
  [
    (signal.SIGTERM, errors.EXIT_PREEMPTED, "left: SIGTERM: saved step {};"),
    (signal.SIGINT, 130, "interrupted; the same command goes on from the last checkpoint, step {}"),
  ],
)
def test_a_signal_saves_and_leaves_with_its_code(tmp_path, number, code, said):
  workdir = tmp_path / "run"
  config = members.config_file(tmp_path, epochs=2000)
  process = members.start(*members.training(config, workdir))
  members.wait_for_saves([process], workdir)
  process.send_signal(number)
  [left], [err] = members.ends([process])
  assert left == code, err
  saved = loading.saved_steps(str(workdir))[-1]
  assert said.format(saved) in err
  assert "Traceback" not in err
