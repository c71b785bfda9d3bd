"""Ctrl-C ends a command with a line that says what the same command would do."""

import dataclasses
import sys
import threading

import commands
import pytest

from contrastive_jax import cli
from contrastive_jax.cli import parse, run
from contrastive_jax.processes import watchdog


@pytest.mark.parametrize(
  "command, saved, said",
  [
    ("train", (), "nothing was saved yet: the same command starts from the beginning"),
    ("train", (4, 12), "the same command goes on from the last checkpoint, step 12"),
    (
      "eval",
      (4, 12),
      "what it printed is also in WORKDIR/eval or --out; the same command scores all again",
    ),
  ],
)
def test_ctrl_c_says_what_the_same_command_would_do(command, saved, said, tmp_path, monkeypatch):
  def interrupted(asked):
    raise KeyboardInterrupt

  for step in (*saved, "16.tmp"):
    (tmp_path / "checkpoints" / str(step)).mkdir(parents=True)
  told = dataclasses.replace(cli.COMMANDS[command], run=interrupted)
  ended = []
  monkeypatch.setattr(run, "leave", lambda *line: ended.append(line))
  monkeypatch.setattr(run, "_log_to_stderr", lambda: None)
  monkeypatch.setattr(watchdog, "_MAY_END", threading.Event())
  config_of = {"train": "shapes/quickstart", "eval": "eval/knn"}[command]
  run.run(told, parse.parse(told, [f"--workdir={tmp_path}", f"--config={config_of}"]))
  assert ended == [(f"interrupted; {said}", 130)]
  assert watchdog._MAY_END.is_set(), "a command may be ended where it hangs"


class _InterruptedImport:
  """Is asked for modules before all others, and in the midst of one Ctrl-C is pressed."""

  @staticmethod
  def find_spec(name, *_):
    if name == "contrastive_jax.cli.run":
      raise KeyboardInterrupt


def test_ctrl_c_before_a_command_runs_is_one_line(tmp_path, monkeypatch, capfd):
  monkeypatch.delattr(cli, "run")
  monkeypatch.delitem(sys.modules, "contrastive_jax.cli.run")
  monkeypatch.setattr(sys, "meta_path", [_InterruptedImport, *sys.meta_path])
  with pytest.raises(SystemExit) as left:
    commands.run("train", [commands.QUICK, f"--workdir={tmp_path}"])
  assert left.value.code == 130
  assert capfd.readouterr().err == (
    "interrupted; nothing was done yet: the same command starts anew\n"
  )
