"""Every command on a page or in a config is understood, and every example that is promised runs."""

import re

import pages
import pytest
from conftest import REPOSITORY

from contrastive_jax import cli, config, config_files
from contrastive_jax.cli import parse
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.study import cells
from contrastive_jax.study import config as study_config

LINES = [(path, line) for path in pages.PAGES + pages.CONFIGS for line in pages.lines(path) if line]
CALLS = [(path, *call) for path, line in LINES for call in pages.commands(line)]


def name(path):
  return str(path.relative_to(REPOSITORY))


def test_the_pages_are_read():
  """A reader of pages that finds nothing would let everything pass."""
  assert len(CALLS) > 150
  assert len({path for path, *_ in CALLS}) > 60
  assert {command for _, command, _ in CALLS} >= {"train", "eval", "study", "launch"}


@pytest.mark.parametrize(
  ("path", "command", "words"), CALLS, ids=[f"{name(p)}-{i}" for i, (p, *_) in enumerate(CALLS)]
)
def test_a_command_is_understood_and_its_config_resolved(path, command, words):
  if command == "launch":
    assert "--" in words, "what is launched follows"  # and is a call of its own
    return
  if command in cli.WITHOUT_CONFIG:
    assert cli.WITHOUT_CONFIG[command].understood(words)[0]
    return
  if command not in cli.COMMANDS:
    assert command in ("--help", "--version", "COMMAND"), f"{name(path)}: {command} is no command"
    return
  if {"--help", "--version"} & set(words):
    return
  asked = parse.parse(cli.COMMANDS[command], words)
  if command in ("train", "prepare"):
    config.check(asked.config)
  elif cli.COMMANDS[command].kind == config_files.EVALUATIONS:
    eval_config.resolve(asked.config)
  else:
    cells.resolve(cells.cells(study_config.resolve(asked.config))[-1])


def test_make_and_pip_are_asked_for_what_there_is():
  targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
  extras = re.findall(r'^    "(\w+)": ', (REPOSITORY / "setup.py").read_text(), re.MULTILINE)
  asked = {"make": set(), "extra": set()}
  for _, line in LINES:
    asked["make"] |= set(re.findall(r"(?:^|&& |\s)make ([a-z-]+)", line))
    asked["extra"] |= set(re.findall(r"(?:contrastive_jax|\.)\[([\w,]+)\]", line))
  assert asked["make"] and asked["make"] <= set(targets)
  assert asked["extra"] and {e for one in asked["extra"] for e in one.split(",")} <= set(extras)


def test_scripts_that_are_named_exist():
  named = {
    m for _, line in LINES for m in re.findall(r"python ((?:benchmarks|docs)/[\w/]+\.py)", line)
  }
  assert named and all((REPOSITORY / script).is_file() for script in named), named


@pytest.mark.parametrize("path", pages.PAGES, ids=name)
def test_examples_in_python_are_python(path):
  for block in pages.blocks(path, "python"):
    compile(block, name(path), "exec")
