"""What tests of whole runs share."""

import json
import pathlib

import jax
import numpy as np

from contrastive_jax.workdir import checkpoint, loading


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


def metrics(workdir):
  """The lines of metrics.jsonl."""
  return [json.loads(x) for x in (pathlib.Path(workdir) / "metrics.jsonl").read_text().splitlines()]


def losses(workdir):
  return {r["step"]: r["loss"] for r in metrics(workdir) if "loss" in r}


def assert_alike(workdir, other):
  """The losses and the last weights of two runs whose sums are added in other orders."""
  a, b = losses(workdir), losses(other)
  assert list(a) == list(b) and a
  np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=1e-5)
  a, b = (loading.load_run(str(folder)) for folder in (workdir, other))
  for x, y in zip(
    jax.tree.leaves((a.params, a.stats)), jax.tree.leaves((b.params, b.stats)), strict=True
  ):
    np.testing.assert_allclose(x, y, atol=1e-4 * np.abs(x).max())
