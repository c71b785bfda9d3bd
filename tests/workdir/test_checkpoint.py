"""A checkpoint is whole, or it is never used and never goes by in silence."""

import errno
import shutil

import jax
import numpy as np
import pytest
import states
from damage import DAMAGES, damage, files, restore, same, save

from contrastive_jax import config, errors
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.workdir import checkpoint, loading, manifest, part_files


@pytest.fixture
def workdir(tmp_path):
  """A run with the checkpoints 1 and 2."""
  workdir_lib.stamp(str(tmp_path), config.pretrain())
  save(tmp_path, states.state(1), states.state(2))
  return tmp_path


def test_a_state_comes_back_with_its_bits_and_its_shardings(workdir):
  restored = restore(workdir, states.state(0))
  assert same(restored, states.state(2))
  assert restored.params["scale"].sharding == states.state(2).params["scale"].sharding


@pytest.mark.parametrize("kind", DAMAGES)
def test_no_damaged_file_is_used_in_silence(workdir, tmp_path_factory, capfd, kind):
  """The states.state is the newest, or the one before and a line has said so; evaluation alike."""
  rng = np.random.default_rng(DAMAGES.index(kind))
  for trial in range(7):
    copy = tmp_path_factory.mktemp("copy") / "run"
    shutil.copytree(workdir, copy)
    done = damage(rng.choice(files(copy / "checkpoints" / "2")), kind, rng)
    run = loading.load_run(str(copy))
    told = "checkpoint 2 is skipped" in capfd.readouterr().err
    assert same(run.params, states.state(run.step).params) and (run.step == 2 or told), (
      trial,
      done,
    )
    restored = restore(copy, states.state(0))
    told = "checkpoint 2 is skipped" in capfd.readouterr().err
    assert same(restored, states.state(1 if told else 2)), (trial, done)
    shutil.rmtree(copy)


def test_a_damaged_checkpoint_is_set_aside_and_its_step_saved_again(workdir):
  damage(files(workdir / "checkpoints" / "2" / "parts")[0], "bit", np.random.default_rng(0))
  checkpoints = checkpoint.Checkpoints(str(workdir))
  assert same(checkpoints.restore(states.state(0)), states.state(1))
  checkpoints.save(2, states.state(2))
  checkpoints.wait()
  checkpoints.close()
  assert loading.saved_steps(str(workdir)) == [1, 2]
  assert (workdir / "checkpoints" / "2.damaged").is_dir()
  assert same(restore(workdir, states.state(0)), states.state(2))


def test_a_run_whose_checkpoints_are_all_damaged_never_starts_over_unasked(workdir, capfd):
  for step in ("1", "2"):
    (workdir / "checkpoints" / step / manifest.NAME).unlink()
  for _ in range(2):  # not at the next start either
    with pytest.raises(errors.UserError, match="--config.checkpoint.restart=True"):
      restore(workdir, states.state(0))
  assert capfd.readouterr().err.count("manifest.json is missing") == 2
  assert restore(workdir, states.state(0), restart=True) is None


def test_evaluation_of_a_damaged_step_asked_for_by_name_is_refused(workdir):
  (workdir / "checkpoints" / "2" / manifest.NAME).write_text("{")
  with pytest.raises(errors.UserError, match="no intact checkpoint of step 2"):
    loading.load_run(str(workdir), 2)
  assert (workdir / "checkpoints" / "2").is_dir(), "evaluation moves nothing"


def test_a_damaged_config_is_named(workdir):
  (workdir / "config.json").write_text('{"seed": 0')
  with pytest.raises(errors.UserError, match="config.json cannot be read"):
    loading.load_run(str(workdir))


def test_a_config_that_another_hand_changed_is_named(tmp_path):
  c = config.pretrain()
  workdir_lib.stamp(str(tmp_path), c)
  assert workdir_lib.stored_config(str(tmp_path)) == c
  path = tmp_path / "config.json"
  path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
  with pytest.raises(errors.UserError, match="config.json is not what was written there"):
    workdir_lib.stored_config(str(tmp_path))


def test_what_is_saved_is_the_state_at_that_moment(workdir):
  """The next step donates the buffers while the thread writes."""
  checkpoints = checkpoint.Checkpoints(str(workdir))
  now = states.state(3)
  checkpoints.save(3, now)
  later = jax.jit(lambda s: jax.tree.map(lambda x: x * 0, s), donate_argnums=0)(now)
  jax.block_until_ready(later)
  checkpoints.wait()
  assert same(checkpoints.restore(states.state(0)), states.state(3))
  checkpoints.close()


def test_the_newest_and_the_best_are_kept(tmp_path):
  checkpoints = checkpoint.Checkpoints(str(tmp_path), keep=2, keep_best=1)
  for step, knn in ((1, 0.2), (2, 0.9), (3, 0.5), (4, None), (5, None)):
    checkpoints.save(step, states.state(step), knn)
  checkpoints.wait()
  checkpoints.close()
  assert loading.saved_steps(str(tmp_path)) == [2, 4, 5]
  workdir_lib.stamp(str(tmp_path), config.pretrain())
  assert loading.load_run(str(tmp_path), "best").step == 2
  assert loading.load_run(str(tmp_path)).step == 5


def test_a_save_that_fails_is_told_at_the_next_step_and_leaves_nothing(workdir, monkeypatch):
  checkpoints = checkpoint.Checkpoints(str(workdir))

  def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")

  monkeypatch.setattr(part_files, "write", full)
  checkpoints.save(3, states.state(3))
  checkpoints._thread.submit(int).result()  # the thread is done
  with pytest.raises(errors.SaveFailed, match=r"checkpoint 3 cannot .*No space left on device"):
    checkpoints.poll()
  checkpoints.close()
  assert sorted(p.name for p in (workdir / "checkpoints").iterdir()) == ["1", "2"]


def test_leaves_that_do_not_come_back_as_they_were_are_not_committed(workdir, monkeypatch):
  """Whatever the disk makes of the arrays between the host's copy and the file."""
  write = part_files.write

  def badly(path, *rest):
    table = write(path, *rest)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    return table

  monkeypatch.setattr(part_files, "write", badly)
  checkpoints = checkpoint.Checkpoints(str(workdir))
  checkpoints.save(3, states.state(3))
  with pytest.raises(errors.SaveFailed, match="3 cannot .*leaf params.scale in parts/0/model.safe"):
    checkpoints.wait()
  checkpoints.close()
  assert loading.saved_steps(str(workdir)) == [1, 2]


def test_leftovers_of_a_killed_save_are_removed_and_do_not_count(workdir):
  root = workdir / "checkpoints"
  shutil.copytree(root / "2", root / "3.tmp")
  shutil.copytree(root / "2", root / "3.tmp.orbax-checkpoint-tmp")
  assert loading.saved_steps(str(workdir)) == [1, 2]
  assert same(restore(workdir, states.state(0)), states.state(2))
  assert sorted(p.name for p in root.iterdir()) == ["1", "2"]
