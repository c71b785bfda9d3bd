"""What users get wrong, and the one line that each mistake is answered with."""

import ast
import os
import re
import subprocess
import sys

import commands
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import REPOSITORY
from mistakes import MISTAKES
from PIL import Image

from contrastive_jax import cli, config
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.cli import parse
from contrastive_jax.step.state import TrainState
from contrastive_jax.workdir import checkpoint, loading


@pytest.fixture
def here(tmp_path, monkeypatch):
  """The repository as working directory, and files to go wrong with."""
  monkeypatch.chdir(REPOSITORY)
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
  np.savez(tmp_path / "good.npz", images=images, labels=np.zeros(20, np.int64))
  np.savez(tmp_path / "float.npz", images=images / 255, labels=np.zeros(20, np.int64))
  np.savez(tmp_path / "unnamed.npz", pixels=images)
  (tmp_path / "empty").mkdir()
  folder = tmp_path / "folder"
  for i in range(3):
    (folder / "cat").mkdir(parents=True, exist_ok=True)
    Image.fromarray(images[i]).save(folder / "cat" / f"{i}.png")
  for i in range(8):
    name = tmp_path / "classes" / ("cat", "dog")[i % 2] / f"{i}.png"
    name.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(images[i]).save(name)
  (tmp_path / "file").write_text("not a directory")
  (tmp_path / "broken.py").write_text("def get_config(:\n")
  (tmp_path / "nothing.py").write_text("def get_config():\n  pass\n")
  (tmp_path / "misspelt.py").write_text(
    "from contrastive_jax import config\n\n\ndef get_config():\n"
    "  c = config.pretrain()\n  c.bach_size = 3\n  return c\n"
  )
  (tmp_path / "pointing.py").write_text(
    "from contrastive_jax import config\n\n\ndef get_config():\n"
    "  c = config.pretrain()\n  c.data.folder.path = '/photos'\n  return c\n"
  )
  (tmp_path / "without.py").write_text("x = 1\n")
  (tmp_path / "norun").mkdir()
  (tmp_path / "study" / "cells").mkdir(parents=True)
  (tmp_path / "study" / "study.json").write_text("{}")
  for name in ("safetensors", "onnx"):  # exports; timm reads a config.json of its own
    (tmp_path / name).mkdir()
    for file in ("preprocessing.json", "training_config.json", f"model.{name}"):
      (tmp_path / name / file).write_text("{}")
  (tmp_path / "safetensors" / "config.json").write_text('{"architecture": "resnet18"}')
  return tmp_path


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_by_one_line(mistake, here, capfd, monkeypatch):
  (script, arguments), wanted = MISTAKES[mistake]
  monkeypatch.setattr(sys, "argv", [])
  with pytest.raises(SystemExit) as left:
    commands.run(script, [a.format(here=here) for a in arguments])
  err = capfd.readouterr().err
  assert left.value.code == 2, err
  lines = [line for line in err.splitlines() if line]
  assert len(lines) == 1 and lines[0].startswith("error: "), err
  for words in (wanted,) if isinstance(wanted, str) else wanted:
    assert words in lines[0]
  assert "Traceback" not in err
  assert not (here / "w").exists(), "nothing may be made"


def test_help_of_the_wrong_kind_of_config_is_one_line(here, capfd):
  with pytest.raises(SystemExit) as left:
    commands.run("train", ["--config=configs/eval/knn.py", "--help_config"])
  assert left.value.code == 2
  assert capfd.readouterr().err.startswith("error: this config is of an evaluation")


def test_a_checkpoint_of_another_network_is_answered_by_one_line(here, capfd):
  other = str(here / "other")
  changes = ("--config.model.width=0.25", "--config.batch_size=16", "--config.monitor.max_train=0")
  asked = [commands.QUICK, *changes, "--config.data.shapes.num_train=32"]
  workdir_lib.make(other)
  workdir_lib.stamp(other, parse.parse(cli.COMMANDS["train"], asked).config)
  checkpoints = checkpoint.Checkpoints(other)
  leaf = {"kernel": jnp.ones((2, 2))}
  checkpoints.save(1, TrainState(jnp.asarray(1), leaf, {}, {}, {}, {}))
  checkpoints.wait()
  checkpoints.close()
  with pytest.raises(SystemExit) as left:
    commands.run("train", [*asked, f"--workdir={other}"])
  (line,) = capfd.readouterr().err.splitlines()
  assert left.value.code == 2
  assert line.startswith("error: checkpoint 1 has ")
  assert line.endswith("; use the run's own config or a new --workdir")
  assert loading.saved_steps(other) == [1]


def test_nothing_that_is_said_names_a_script_of_the_clone():
  """Only some were started by it, and none who installed the package has it."""
  named = []
  for path in sorted((REPOSITORY / "contrastive_jax").rglob("*.py")):
    parsed = ast.parse(path.read_text(encoding="utf-8"))
    comments = {node.value for node in ast.walk(parsed) if isinstance(node, ast.Expr)}
    for node in set(ast.walk(parsed)) - comments:
      if isinstance(node, ast.Constant) and re.search(r"\b(train|eval)\.py\b", str(node.value)):
        named.append(f"{path}:{node.lineno}")
  assert named == []


def test_there_are_thirty_mistakes():
  assert len(MISTAKES) >= 30


def test_the_script_itself_exits_with_code_2_and_one_line(tmp_path):
  environment = dict(os.environ, JAX_PLATFORMS="cpu", PYTHONPATH=str(REPOSITORY))
  done = subprocess.run(
    [sys.executable, "train.py", commands.QUICK, f"--workdir={tmp_path}", "--config.epochs=-1"],
    cwd=REPOSITORY,
    env=environment,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 2
  assert done.stderr == "error: epochs -1 is below 1; set --config.epochs=1 or more\n"
  assert done.stdout == ""


def test_help_config_lists_every_key_with_type_value_and_line(here, capfd):
  commands.run("train", [commands.QUICK, "--help_config"])
  out = capfd.readouterr().out
  rows = config.describe(config.pretrain())
  assert [row for row in rows if not row[3]] == [], "every key has its line"
  for key, kind, _, line in rows:
    assert any(r.startswith(key) and kind in r and line in r for r in out.splitlines()), key


def test_print_config_shows_what_overrides_made_of_it(here, capfd):
  commands.run(
    "train", [commands.QUICK, "--print_config", "--config.epochs=7", "--config.augment.blur=0.5"]
  )
  shown = config.from_json(capfd.readouterr().out)
  assert (shown.epochs, shown.augment.blur) == (7, 0.5)


@pytest.mark.parametrize(("given", "meant"), [("best", "best"), ("5", 5)])
def test_a_checkpoint_is_asked_for_by_step_or_as_the_best(given, meant, here, capfd):
  commands.run("eval", ["--print_config", f"--config.checkpoint_step={given}"])
  assert config.from_json(capfd.readouterr().out).checkpoint_step == meant
