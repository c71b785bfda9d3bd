"""A workdir may have any name that the file system takes: libraries must not read more into it."""

import os
import shlex

import pytest
import states
import whole_runs
from damage import restore, same, save
from tiny_config import evaluation, with_monitor

from contrastive_jax import config, errors, launch
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.cli import compare as compare_command
from contrastive_jax.evaluation import evaluate
from contrastive_jax.training import trainer
from contrastive_jax.workdir import loading
from contrastive_jax.workdir.report import Reporter

# What globs, URLs, templates and shells read more into.
NAMES = (
  "lr[0.1]",
  "**",
  "a?b",
  "{a,b}",
  "a%20b",
  "a\\b",
  "[!a]",
  "-x y",
  "s3:a",
  "a\nb",
  "ü",
  "~a",
)
NAMES += ("not utf-8 \udcff", "x" * 255)
EVERYTHING = "-lr[0.1]**?{a,b}%20\\n #'\"$HOME|ü"


@pytest.mark.parametrize("name", NAMES)
def test_checkpoints_lie_where_they_are_said_to_and_nowhere_else(tmp_path, monkeypatch, name):
  monkeypatch.chdir(tmp_path)
  workdir_lib.make(name)
  workdir_lib.stamp(name, config.pretrain())
  Reporter(name, total_steps=9, start_step=0, tensorboard=True).close()
  save(name, states.state(1))
  save(name, states.state(2))
  assert same(restore(name, states.state(0)), states.state(2))
  assert loading.load_run(name).step == 2
  assert os.listdir(tmp_path) == [name]
  assert launch._newest(["train", f"--workdir={name}", "--config=a"]) == 2
  assert launch._newest(["train", "--workdir", name]) == 2


def test_a_path_that_is_too_long_for_what_lies_below_it_is_refused(tmp_path):
  long = tmp_path.joinpath(*["x" * 99] * ((4000 - len(str(tmp_path))) // 100))
  with pytest.raises(errors.UserError, match="give a shorter --workdir"):
    workdir_lib.make(str(long))


@pytest.mark.parametrize(
  "command", [["--workdir"], ["--workdir="], ["--workdir=gone"], ["-workdir"]]
)
def test_a_supervisor_of_a_command_without_a_workdir_counts_no_checkpoints(command):
  assert launch._newest(command) == 0


def test_a_supervisor_finds_checkpoints_in_a_home_folder(tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  (tmp_path / "run" / "checkpoints" / "7").mkdir(parents=True)
  (tmp_path / "run" / "checkpoints" / "²").mkdir()
  assert launch._newest(["--workdir=~/run"]) == 7


@pytest.mark.slow
def test_a_run_of_any_name_is_trained_resumed_scored_and_compared(tmp_path, capfd):
  c, folder = with_monitor(), tmp_path / EVERYTHING
  c.log.views = c.log.tensorboard = True
  for c.epochs in (1, 2):
    c.allow_config_change = True
    trainer.train(c, str(folder), whole_runs.one_device())
  told = capfd.readouterr().err.split("done; to score it: ")[-1]
  words = ["contrastive_jax", "eval", f"--workdir={folder}"]
  assert shlex.split(told) == words, "what it says can be given to a shell"
  asked = evaluation()
  asked.protocols = ("knn", "picture")
  found = evaluate.run(asked, str(folder), whole_runs.one_device())
  assert found["checkpoint_step"] == 4
  assert (folder / "eval" / found["file"]).exists()
  assert [p for p in (folder / "eval").iterdir() if p.suffix == ".png"]
  compare_command.main([str(folder), f"--out={tmp_path / 'out[0]'}"])
  assert (tmp_path / "out[0]" / "index.html").exists()
  assert sorted(os.listdir(tmp_path)) == sorted([EVERYTHING, "out[0]"])
