"""Weights & Biases beside the run's own files, through a stand-in of its package."""

import sys
import types

import pytest

from contrastive_jax import errors
from contrastive_jax.workdir import report


def stand_in(monkeypatch, fails=False):
  told = []

  class Run:
    def log(self, values, step=None):
      if fails:
        raise ConnectionError("its service is gone")
      told.append((step, values))

    def finish(self):
      told.append("finished")

  def init(**given):
    told.append(given)
    return Run()

  module = types.SimpleNamespace(init=init, Settings=lambda **given: given)
  monkeypatch.setitem(sys.modules, "wandb", module)
  return told


def made(tmp_path):
  options = {"total_steps": 9, "start_step": 0, "tensorboard": False}
  return report.Reporter(str(tmp_path), **options, wandb_config='{"epochs": 3}')


def test_it_is_offline_unless_the_user_says_otherwise(tmp_path, monkeypatch):
  monkeypatch.delenv("WANDB_MODE", raising=False)
  told = stand_in(monkeypatch)
  reporter = made(tmp_path)
  reporter.metrics(4, {"loss": 1.0})
  reporter.close()
  given, line, last = told
  assert given["mode"] == "offline" and given["config"] == {"epochs": 3}
  assert line == (4, {"loss": 1.0}) and last == "finished"
  monkeypatch.setenv("WANDB_MODE", "online")
  made(tmp_path).close()
  assert told[-2]["mode"] == "online"


def test_what_it_gets_wrong_in_a_run_is_a_warning(tmp_path, monkeypatch, caplog):
  stand_in(monkeypatch, fails=True)
  reporter = made(tmp_path)
  reporter.metrics(4, {"loss": 1.0})
  reporter.close()
  assert "warning: wandb: ConnectionError: its service is gone" in caplog.text
  assert '"loss": 1.0' in (tmp_path / "metrics.jsonl").read_text()


def test_without_the_package_it_is_said_how_to_get_it(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "wandb", None)
  with pytest.raises(errors.UserError, match="log.wandb needs wandb; pip install"):
    made(tmp_path)
