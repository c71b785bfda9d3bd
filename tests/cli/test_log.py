"""What a command logs, and from which processes."""

import logging

import jax
import pytest

from contrastive_jax.cli import run
from contrastive_jax.data import unreadable


@pytest.mark.parametrize("process, lines", [(0, 2), (1, 1)])
def test_other_processes_say_only_what_they_alone_can_know(process, lines, monkeypatch, capfd):
  log = logging.Logger("contrastive_jax")
  monkeypatch.setattr(logging, "getLogger", lambda name=None: log)
  monkeypatch.setattr(jax, "process_index", lambda: process)
  run._log_to_stderr()
  log.info("of all")
  unreadable.Told(None).tell("a.png: cut off", 1)
  said = capfd.readouterr().err.splitlines()
  assert len(said) == lines
  assert said[-1] == "warning: an image is unreadable: a.png: cut off"


def test_what_is_odd_about_a_set_is_told_once_and_what_recurs_each_time(monkeypatch, capfd):
  loggers = {"contrastive_jax": logging.Logger("contrastive_jax")}
  monkeypatch.setattr(logging, "getLogger", lambda name="contrastive_jax": loggers[name])
  run._log_to_stderr()
  handler = loggers["contrastive_jax"].handlers[0]
  for name in ("contrastive_jax.data.layouts", "contrastive_jax.training.loop"):
    loggers[name] = logging.Logger(name)
    loggers[name].addHandler(handler)
    for split in ("train", "train", "test"):
      loggers[name].warning("%s: the images of %s have no labels", name.rpartition(".")[2], split)
  lines = capfd.readouterr().err.splitlines()
  assert [line.startswith("layouts") for line in lines] == [True] * 2 + [False] * 3
