"""How often a command has Python look for cycles of garbage."""

import gc
import subprocess
import sys

import pytest

from contrastive_jax.cli import garbage


@pytest.fixture(autouse=True)
def thresholds():
  before, enabled = gc.get_threshold(), gc.isenabled()
  yield
  gc.set_threshold(*before)
  if enabled:
    gc.enable()


def test_collections_are_seldom():
  gc.set_threshold(700, 10, 10)
  garbage.collect_seldom()
  assert gc.get_threshold()[0] >= 10_000


@pytest.mark.parametrize("user", [(0, 10, 10), (1_000_000, 5, 5)])
def test_a_collector_that_works_more_seldom_is_left_alone(user):
  gc.set_threshold(*user)
  garbage.collect_seldom()
  assert gc.get_threshold() == user


def test_a_collector_that_is_off_stays_off():
  gc.set_threshold(700, 10, 10)
  gc.disable()
  garbage.collect_seldom()
  assert not gc.isenabled() and gc.get_threshold() == (700, 10, 10)


def test_a_command_collects_seldom():
  code = """
import gc, sys
from contrastive_jax import cli
try:
  cli.main(["train", "--version"])
finally:
  print(gc.get_threshold()[0], file=sys.stderr)
"""
  done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
  assert int(done.stderr.split()[-1]) >= 10_000
