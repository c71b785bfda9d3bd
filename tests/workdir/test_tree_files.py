"""Trees as files: a failure is told once, by whoever saves, and mutes nothing else."""

import errno
import logging
import sys
import types

import numpy as np
import pytest
from absl import logging as absl_logging

from contrastive_jax.workdir import tree_files


def test_after_a_save_that_failed_the_process_hears_all_again(tmp_path, monkeypatch):
  heard, loggers = [], (absl_logging.get_absl_logger(), logging.getLogger("asyncio"))

  def hook(told):
    heard.append(str(told.exc_value))

  def fails(*_, **__):
    for word in ("Event loop is closed", "of others"):
      sys.unraisablehook(types.SimpleNamespace(exc_value=RuntimeError(word)))
    raise OSError(errno.ENOSPC, "No space left on device")

  monkeypatch.setattr(sys, "unraisablehook", hook)
  monkeypatch.setattr(tree_files, "_QUIET_S", 0.01)
  monkeypatch.setattr(tree_files.ocp.StandardCheckpointHandler, "save", fails)
  before = [list(logger.filters) for logger in loggers]
  with pytest.raises(OSError, match="No space left"):
    tree_files.write(tmp_path, {"model": {"a": np.zeros(3)}})
  assert heard == ["of others"]
  assert sys.unraisablehook is hook
  assert [list(logger.filters) for logger in loggers] == before
