"""A checkpoint that cannot be read for the moment is no damaged one: it is waited for, and kept."""

import errno
import json
import os
import pathlib
import shutil

import commands
import numpy as np
import pytest
import states
import whole_runs
from tiny_config import tiny

from contrastive_jax import config, errors, launch, reading
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.processes import agree
from contrastive_jax.training import trainer
from contrastive_jax.workdir import checkpoint, loading, manifest, part_files

PASSING = [
  *(errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN),
  *(errno.EINTR, errno.ETIMEDOUT, errno.EACCES),
]
EVER = 10**6


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
  monkeypatch.setattr(reading, "PAUSES_S", (0.0,) * 3)


@pytest.fixture
def workdir(tmp_path):
  """A run with the checkpoints 1 and 2."""
  workdir_lib.stamp(str(tmp_path), config.pretrain())
  checkpoints = checkpoint.Checkpoints(str(tmp_path))
  for step in (1, 2):
    checkpoints.save(step, states.state(step))
  checkpoints.wait()
  checkpoints.close()
  return tmp_path


def failing(monkeypatch, where, error, times):
  """Makes one way of reading fail so many times; returns how often it still will."""
  holder, name = {
    "manifest": (pathlib.Path, "read_bytes"),
    "files": (part_files, "_opened"),
    "arrays": (os, "preadv"),
    "listing": (os, "listdir"),
  }[where]
  real, left = getattr(holder, name), [times]

  def fails(*args, **options):
    if left[0]:
      left[0] -= 1
      raise error if isinstance(error, Exception) else OSError(error, os.strerror(error))
    return real(*args, **options)

  monkeypatch.setattr(holder, name, fails)
  return left


def restored(workdir):
  checkpoints = checkpoint.Checkpoints(str(workdir))
  try:
    return int(checkpoints.restore(states.state(0)).step)
  finally:
    checkpoints.close()


def names(workdir):
  return sorted(path.name for path in (workdir / "checkpoints").iterdir())


WAYS = [(where, n) for where in ("manifest", "files", "arrays") for n in PASSING] + [
  ("arrays", MemoryError()),
  ("arrays", RuntimeError("what a library makes of an error of the system")),
]


@pytest.mark.parametrize(("where", "error"), WAYS)
def test_an_error_that_passes_is_waited_for(workdir, monkeypatch, where, error):
  left = failing(monkeypatch, where, error, times=2)
  assert restored(workdir) == 2 and left == [0]
  left[0] = 2
  assert loading.load_run(str(workdir)).step == 2 and left == [0]
  assert names(workdir) == ["1", "2"]


@pytest.mark.parametrize(("where", "error"), WAYS)
def test_one_that_stays_ends_the_run_and_renames_nothing(workdir, monkeypatch, where, error):
  left = failing(monkeypatch, where, error, times=EVER)
  # No start after it would have the permission: the supervisor is to end, too.
  kind = errors.UserError if error == errno.EACCES else errors.ReadFailed
  with pytest.raises(kind, match="checkpoint 2 cannot be read .*tried 4 times"):
    restored(workdir)
  left[0] = 0
  assert names(workdir) == ["1", "2"]
  assert restored(workdir) == 2, "the same command goes on"


def test_evaluation_takes_no_older_step_for_an_error_that_passes(workdir, monkeypatch):
  failing(monkeypatch, "files", errno.EIO, times=EVER)
  with pytest.raises(errors.ReadFailed, match="checkpoint 2 cannot be read"):
    loading.load_run(str(workdir))


def test_a_folder_that_cannot_be_listed_is_no_empty_one(workdir, monkeypatch):
  """Or the run would start over beside its own checkpoints."""
  left = failing(monkeypatch, "listing", errno.EIO, times=2)
  assert loading.saved_steps(str(workdir)) == [1, 2]
  left[0] = EVER
  with pytest.raises(errors.ReadFailed, match="checkpoints cannot be read"):
    checkpoint.Checkpoints(str(workdir))
  with pytest.raises(errors.ReadFailed, match="checkpoints cannot be read"):
    workdir_lib.check(str(workdir), config.pretrain())


def test_a_config_that_cannot_be_read_for_now_is_not_a_damaged_one(workdir, monkeypatch):
  left = failing(monkeypatch, "manifest", errno.ESTALE, times=2)
  stored = workdir_lib.stored_config(str(workdir))
  assert config.flatten(stored) == config.flatten(config.pretrain())
  left[0] = EVER
  with pytest.raises(errors.ReadFailed, match="config.json cannot be read"):
    workdir_lib.stored_config(str(workdir))


def test_the_best_checkpoint_is_not_pruned_because_its_score_cannot_be_read(tmp_path, monkeypatch):
  checkpoints = checkpoint.Checkpoints(str(tmp_path), keep=1, keep_best=1)
  for step, knn in ((1, 0.9), (2, 0.1)):
    checkpoints.save(step, states.state(step), knn)
  checkpoints.wait()
  real = pathlib.Path.read_bytes

  def fails(path):
    if path.parent.name == "1":
      raise OSError(errno.EIO, "Input/output error")
    return real(path)

  monkeypatch.setattr(pathlib.Path, "read_bytes", fails)
  checkpoints.save(3, states.state(3), 0.2)
  with pytest.raises(errors.SaveFailed, match="Input/output error"):
    checkpoints.wait()
  checkpoints.close()
  assert {"1", "3"} <= set(names(tmp_path))


@pytest.mark.parametrize(
  "lost", ["manifest.json", "parts", "parts/0", "parts/0/training.safetensors"]
)
def test_what_is_missing_in_a_readable_folder_is_damage(workdir, capfd, lost):
  path = workdir / "checkpoints" / "2" / lost
  shutil.rmtree(path) if path.is_dir() else path.unlink()
  assert restored(workdir) == 1
  assert "checkpoint 2 is skipped: " in capfd.readouterr().err
  assert names(workdir) == ["1", "2.damaged"]


@pytest.mark.parametrize("here", [True, False])
def test_a_checkpoint_that_is_damaged_for_one_process_alone_is_kept(workdir, monkeypatch, here):
  """The disk is one; what a host sees in its cache is its own matter."""
  if here:
    (workdir / "checkpoints" / "2" / manifest.NAME).unlink()
  # Another process, which fails at nothing and finds of the checkpoint what this one does not.
  said = iter([False, True, False, True])
  monkeypatch.setattr(agree, "any_process", lambda flag: flag or next(said))
  monkeypatch.setattr(agree, "texts", lambda mine: [mine, "parts/0/model.safetensors"])
  with pytest.raises(errors.ReadFailed, match="damaged for one process and whole for another"):
    restored(workdir)
  assert names(workdir) == ["1", "2"]


@pytest.mark.parametrize("passes", [True, False])
def test_what_one_process_alone_cannot_open_ends_all_alike(monkeypatch, passes):
  """Nobody waits for one that has left, and the supervisor is told the same by all."""
  monkeypatch.setattr(agree.jax, "process_count", lambda: 2)
  monkeypatch.setattr(agree, "texts", lambda mine: [mine, json.dumps(["b", passes, "no disk"])])
  kind = errors.ReadFailed if passes else errors.UserError
  with pytest.raises(kind, match="process 1 on b: no disk"), agree.mistakes_shared():
    pass


def test_the_supervisor_starts_such_a_run_again(tmp_path, monkeypatch, capfd):
  def fails(*_):
    raise errors.ReadFailed("checkpoint 2 cannot be read")

  monkeypatch.setattr(trainer, "train", fails)
  with pytest.raises(SystemExit) as left:
    commands.run("train", [commands.QUICK, f"--workdir={tmp_path}"])
  assert left.value.code == errors.EXIT_READ_FAILED == 66
  assert "stopped: checkpoint 2 cannot be read" in capfd.readouterr().err
  assert errors.EXIT_READ_FAILED not in launch._FINAL


def test_a_run_ends_restartably_and_goes_on_when_the_disk_is_back(tmp_path, monkeypatch):
  with monkeypatch.context() as patch:
    whole_runs.interrupt_after_save(patch, 1)
    with pytest.raises(KeyboardInterrupt):
      trainer.train(tiny(), str(tmp_path), whole_runs.one_device())
  with monkeypatch.context() as patch:
    failing(patch, "arrays", errno.EIO, times=EVER)
    with pytest.raises(errors.ReadFailed):
      trainer.train(tiny(), str(tmp_path), whole_runs.one_device())
  result = trainer.train(tiny(), str(tmp_path), whole_runs.one_device())
  assert np.asarray(result.state.step) == 12 and names(tmp_path)[-1] != "4.damaged"
