"""The stamp of a run: never half of it, and of the right repository."""

import contextlib
import errno
import os
import pathlib
import subprocess
import tempfile

import pytest

from contrastive_jax import config, errors, workdir
from contrastive_jax.workdir import checkpoint, lock
from contrastive_jax.workdir.report import Reporter


def kill_at_write(monkeypatch, number):
  """The write with this number raises, as a kill would; returns the names of what was written."""
  write, written = workdir.write, []

  def killed(path, text):
    if len(written) == number:
      raise KeyboardInterrupt
    written.append(path.name)
    write(path, text)

  monkeypatch.setattr(workdir, "write", killed)
  return written


@pytest.mark.parametrize("killed_at", range(4))
def test_a_run_killed_while_it_stamps_leaves_the_old_config_or_the_new(
  tmp_path, monkeypatch, killed_at
):
  old, new = config.pretrain(), config.pretrain("byol")
  workdir.stamp(str(tmp_path), old)
  written = kill_at_write(monkeypatch, killed_at)
  with contextlib.suppress(KeyboardInterrupt):
    workdir.stamp(str(tmp_path), new)
  assert workdir.stored_config(str(tmp_path)) == (new if "config.json" in written else old)


@pytest.mark.parametrize("killed_at", range(2))
def test_a_run_killed_at_its_first_stamp_blocks_nothing(tmp_path, monkeypatch, killed_at):
  kill_at_write(monkeypatch, killed_at)
  with pytest.raises(KeyboardInterrupt):
    workdir.stamp(str(tmp_path), config.pretrain())
  assert workdir.stored_config(str(tmp_path)) in (None, config.pretrain())


@pytest.mark.parametrize(
  ("number", "kind"),
  [
    *((n, errors.UserError) for n in (errno.EACCES, errno.EROFS, errno.ENOTDIR)),
    *((n, errors.SaveFailed) for n in (errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENOSPC)),
  ],
)
def test_a_workdir_that_cannot_be_written_for_now_is_no_mistake(
  tmp_path, monkeypatch, number, kind
):
  """A mistake would end the supervisor too."""

  def fails(**_):
    raise OSError(number, os.strerror(number))

  monkeypatch.setattr(tempfile, "TemporaryFile", fails)
  with pytest.raises(kind, match=rf"workdir .* cannot be written \({os.strerror(number)}"):
    workdir.make(str(tmp_path / "run"))


def refuse(monkeypatch, where, number, place):
  """Makes what writes at a place fail as the system does, for whoever tests as root too."""
  real = getattr(*where)

  def fails(*arguments, **options):
    if place in str(options.get("dir", arguments and arguments[-1])) or place in str(arguments):
      raise OSError(number, os.strerror(number))
    return real(*arguments, **options)

  monkeypatch.setattr(*where, fails)


@pytest.mark.parametrize(
  ("number", "kind"), [(errno.EACCES, errors.UserError), (errno.ENOSPC, errors.SaveFailed)]
)
@pytest.mark.parametrize(
  ("where", "place"),
  [
    ((tempfile, "TemporaryFile"), "checkpoints"),
    ((pathlib.Path, "open"), "lock"),
    ((pathlib.Path, "open"), "metrics.jsonl.tmp"),
    ((pathlib.Path, "open"), "versions.json.tmp"),
    ((os, "replace"), "versions.json"),
    ((pathlib.Path, "replace"), "metrics.jsonl"),
    ((pathlib.Path, "mkdir"), "tensorboard"),
  ],
)
def test_what_a_start_may_not_write_is_a_mistake_and_what_it_cannot_write_now_is_none(
  tmp_path, monkeypatch, where, place, number, kind
):
  """A workdir of another user: a supervisor would start the run again for ever."""
  refuse(monkeypatch, where, number, place)
  with pytest.raises(kind, match=r"cannot be written \("):
    workdir.make(str(tmp_path))
    with lock.hold(str(tmp_path)):
      with contextlib.closing(checkpoint.Checkpoints(str(tmp_path))):
        workdir.stamp(str(tmp_path), config.pretrain())
      Reporter(str(tmp_path), total_steps=1, start_step=0, tensorboard=True)


def test_the_commit_is_none_of_a_repository_that_only_holds_the_environment(tmp_path, monkeypatch):
  package = tmp_path / ".venv" / "contrastive_jax"
  package.mkdir(parents=True)
  (package / "workdir.py").write_text("")
  (tmp_path / "own.py").write_text("")

  def git(*command):
    subprocess.run(
      ("git", "-c", "user.name=a", "-c", "user.email=a@b.example", *command),
      cwd=tmp_path,
      check=True,
      capture_output=True,
    )

  git("init")
  git("add", "own.py")
  git("commit", "-m", "own")
  monkeypatch.setattr(workdir, "__file__", str(package / "workdir.py"))
  assert workdir._commit() is None
  git("add", "--force", str(pathlib.Path(".venv")))
  git("commit", "-m", "the package itself")
  assert len(workdir._commit()) == 40
  os.utime(tmp_path / "own.py", (1, 1))  # so that git would like to refresh its index
  index = (tmp_path / ".git" / "index").read_bytes()
  workdir._commit()
  assert (tmp_path / ".git" / "index").read_bytes() == index  # written, its lock could stay behind


def test_a_run_under_way_takes_on_no_other_accumulation(tmp_path):
  began, asked = config.pretrain(), config.pretrain()
  began.optimizer.plain_accumulation, asked.optimizer.plain_accumulation = 2, 4
  workdir.stamp(str(tmp_path), began)
  (tmp_path / "checkpoints" / "5").mkdir(parents=True)
  asked.allow_config_change = True
  with pytest.raises(errors.UserError) as caught:
    workdir.check(str(tmp_path), asked)
  assert "a run (config.json) with optimizer.plain_accumulation 2 -> 4, and a run cannot" in str(
    caught.value
  )
  assert "; set --config.optimizer.plain_accumulation=2, or give a new --wor" in str(caught.value)
  asked.optimizer.plain_accumulation, asked.epochs = 2, 7
  assert workdir.check(str(tmp_path), asked) == ["epochs 100 -> 7"]
