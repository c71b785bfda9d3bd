"""However a command ends, one line and an exit code say how."""

import errno
import functools
import io
import os
import re
import sys

import commands
import jax.numpy as jnp
import pytest
from conftest import REPOSITORY

from contrastive_jax import cli, errors
from contrastive_jax.cli import alone
from contrastive_jax.training import trainer


@pytest.mark.parametrize(
  "end, code",
  [
    (errors.UserError, 2),
    (errors.NonFiniteLoss, 3),
    (errors.ReadFailed, 66),
    (errors.SaveFailed, 74),
    (errors.Preempted, 75),
    (errors.PeerLost, 76),
    (functools.partial(OSError, errno.ENOSPC), 74),  # of what is printed, or a file not asked after
    (KeyboardInterrupt, 130),
  ],
)
def test_every_end_of_a_run_has_its_exit_code_and_one_line(end, code, tmp_path, monkeypatch, capfd):
  def train(config, workdir):
    raise end("why")

  monkeypatch.setattr(trainer, "train", train)
  monkeypatch.setattr(sys, "argv", [])
  monkeypatch.chdir(REPOSITORY)
  with pytest.raises(SystemExit) as left:
    commands.run("train", [commands.QUICK, f"--workdir={tmp_path}"])
  assert left.value.code == code
  assert len(capfd.readouterr().err.splitlines()) == 1


def test_a_device_without_enough_memory_ends_the_run_with_one_line(tmp_path, monkeypatch, capfd):
  def train(config, workdir):
    jnp.ones(1 << 50).block_until_ready()

  monkeypatch.setattr(trainer, "train", train)
  monkeypatch.setattr(sys, "argv", [])
  monkeypatch.chdir(REPOSITORY)
  with pytest.raises(SystemExit) as left:
    commands.run("train", [commands.QUICK, f"--workdir={tmp_path}"])
  assert left.value.code == errors.EXIT_USER_ERROR
  (line,) = capfd.readouterr().err.splitlines()
  assert re.fullmatch(
    r"error: too little memory \(Out of memory .*\); .* --config.micro_batches .*", line
  )


def test_a_study_whose_cells_failed_has_a_code_of_its_own(capfd):
  def act():
    raise errors.CellsFailed("2 of 8 cells")

  with pytest.raises(SystemExit) as left:
    alone.run(act)
  assert left.value.code == 1
  assert capfd.readouterr().err == "failed: 2 of 8 cells\n"


@pytest.mark.parametrize("words", [["eval", "--help"], ["--version"], ["eval", "--help_config"]])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE])
def test_what_cannot_be_printed_is_one_line(words, number, monkeypatch, capfd):
  class Full(io.StringIO):
    def flush(self):
      raise OSError(number, os.strerror(number))

  monkeypatch.setattr(sys, "stdout", Full())
  with pytest.raises(SystemExit) as left:
    cli.main(words)
  assert left.value.code == errors.EXIT_SAVE_FAILED
  (line,) = capfd.readouterr().err.splitlines()
  assert line.startswith(f"stopped: what is printed cannot be written ({os.strerror(number)})")
