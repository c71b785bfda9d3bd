"""Checkpoints of the form before parts are read as ever: beside new ones, and if damaged.

checkpoint_of_0_1.zip is `states.state(2)`, saved at commit 65c2af7.
"""

import pathlib
import shutil
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import states
from damage import DAMAGES, damage, files, restore, same, save

from contrastive_jax import config, errors
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.workdir import loading

STORED = pathlib.Path(__file__).with_name("checkpoint_of_0_1.zip")


def unpacked(workdir):
  """A run with the checkpoint 1 as they are now, and 2 as they were."""
  workdir_lib.stamp(str(workdir), config.pretrain())
  save(workdir, states.state(1))
  shutil.unpack_archive(STORED, workdir / "checkpoints")
  return workdir


def test_one_is_restored_and_scored_and_gone_on_from(tmp_path):
  workdir = unpacked(tmp_path)
  assert same(restore(workdir, states.state(0)), states.state(2))
  run = loading.load_run(str(workdir))
  assert run.step == 2 and same(run.params, states.state(2).params)
  save(workdir, states.state(3))
  assert same(restore(workdir, states.state(0)), states.state(3))
  assert loading.saved_steps(str(workdir)) == [2, 3]


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damage_is_told(tmp_path, capfd, kind):
  rng = np.random.default_rng(DAMAGES.index(kind))
  for trial in range(3):
    workdir = tmp_path / str(trial)
    workdir.mkdir()
    damage(rng.choice(files(unpacked(workdir) / "checkpoints" / "2")), kind, rng)
    run = loading.load_run(str(workdir))
    told = "checkpoint 2 is skipped" in capfd.readouterr().err
    assert same(run.params, states.state(run.step).params) and (run.step == 2 or told)
    restored = restore(workdir, states.state(0))
    told = "checkpoint 2 is skipped" in capfd.readouterr().err
    assert same(restored, states.state(1 if told else 2))


def test_one_lies_where_orbax_would_read_a_pattern(tmp_path, monkeypatch):
  workdir = tmp_path / "lr[0.1]"
  workdir.mkdir()
  assert same(restore(unpacked(workdir), states.state(0)), states.state(2))
  monkeypatch.setattr(tempfile, "tempdir", str(workdir))
  with pytest.raises(errors.UserError, match="set TMPDIR to a plain path"):
    restore(workdir, states.state(0))


@pytest.mark.parametrize("of", ["shape", "type"])
def test_one_of_another_form_is_refused(tmp_path, of):
  """Orbax would give what was saved, or a part of each number (findings/orbax_numpy_shape.sh)."""
  leaves, tree = jax.tree.flatten(states.state(0))
  i = next(i for i, leaf in enumerate(leaves) if leaf.ndim == 2)
  other = {"shape": jnp.zeros((17, 8)), "type": leaves[i].astype(jnp.int8)}[of]
  like = jax.tree.unflatten(tree, [*leaves[:i], other, *leaves[i + 1 :]])
  with pytest.raises(errors.UserError, match="use the run's own config"):
    restore(unpacked(tmp_path), like)
