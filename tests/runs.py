"""What tests of whole runs share."""

import json
import pathlib
import socket

import jax
import numpy as np

from contrastive_jax.workdir import checkpoint


def one_device():
  return jax.devices()[:1]


def assert_equal(tree, other):
  assert jax.tree.structure(tree) == jax.tree.structure(other)
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    twin = dict(jax.tree_util.tree_leaves_with_path(other))[path]
    np.testing.assert_array_equal(leaf, twin, err_msg=jax.tree_util.keystr(path))


def interrupt_after_save(monkeypatch, count):
  """Raises, as Ctrl-C does, right after the save number `count` has begun."""
  save, saves = checkpoint.Checkpoints.save, []

  def counted(self, step, state, knn=None):
    save(self, step, state, knn)
    saves.append(step)
    if len(saves) == count:
      raise KeyboardInterrupt

  monkeypatch.setattr(checkpoint.Checkpoints, "save", counted)


def free_port():
  with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    return s.getsockname()[1]


def losses(workdir):
  lines = (pathlib.Path(workdir) / "metrics.jsonl").read_text().splitlines()
  return {r["step"]: r["loss"] for r in map(json.loads, lines) if "loss" in r}
