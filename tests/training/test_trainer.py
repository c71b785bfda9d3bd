"""A run: resumed bit for bit, stopped when not finite or at a full disk, watched for collapse."""

import errno
import hashlib
import json
import os
import re
import shutil

import broken
import jax
import jax.numpy as jnp
import members
import numpy as np
import pytest
import whole_runs
from tiny_config import tiny, with_monitor

from contrastive_jax import config, errors, methods
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.data import pipeline
from contrastive_jax.methods import simclr
from contrastive_jax.step import guard
from contrastive_jax.training import trainer
from contrastive_jax.workdir import loading, part_files


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("undisturbed")
  return trainer.train(tiny(), str(workdir), whole_runs.one_device()), workdir


def test_an_interrupted_run_goes_on_bit_for_bit(undisturbed, tmp_path, monkeypatch):
  with monkeypatch.context() as patch:
    whole_runs.interrupt_after_save(patch, 2)
    with pytest.raises(KeyboardInterrupt):
      trainer.train(tiny(), str(tmp_path), whole_runs.one_device())
  assert loading.saved_steps(str(tmp_path)) == [4, 8]
  resumed = trainer.train(tiny(), str(tmp_path), whole_runs.one_device())
  whole_runs.assert_equal(resumed.state, undisturbed[0].state)
  steps = [line["step"] for line in whole_runs.metrics(tmp_path)]
  assert steps == sorted(set(steps)) and steps[-1] == 12, "no step is logged twice or lost"


def test_evaluation_reads_the_trained_weights(undisturbed):
  result, workdir = undisturbed
  run = loading.load_run(str(workdir))
  assert run.step == 12
  whole_runs.assert_equal(run.params, jax.device_get(result.state.params))
  whole_runs.assert_equal(run.stats, jax.device_get(result.state.stats))
  assert config.flatten(run.config) == config.flatten(tiny())


def test_a_finished_run_started_again_changes_nothing(undisturbed):
  result, workdir = undisturbed
  before = loading.saved_steps(str(workdir))
  lines = (workdir / "metrics.jsonl").read_bytes()
  again = trainer.train(tiny(), str(workdir), whole_runs.one_device())
  whole_runs.assert_equal(again.state, result.state)
  assert loading.saved_steps(str(workdir)) == before
  assert (workdir / "metrics.jsonl").read_bytes() == lines
  assert again.metrics == result.metrics


def test_a_finished_run_is_scored_again_only_if_its_score_is_gone(tmp_path):
  result = trainer.train(with_monitor(), str(tmp_path), whole_runs.one_device())
  lines = (tmp_path / "metrics.jsonl").read_bytes()
  again = trainer.train(with_monitor(), str(tmp_path), whole_runs.one_device())
  assert again.metrics == result.metrics and {"loss", "knn_top1"} <= again.metrics.keys()
  assert (tmp_path / "metrics.jsonl").read_bytes() == lines
  (tmp_path / "metrics.jsonl").unlink()
  again = trainer.train(with_monitor(), str(tmp_path), whole_runs.one_device())
  assert again.metrics == {name: result.metrics[name] for name in ("knn_top1", "knn_top5")}


def test_another_config_in_the_same_workdir_is_refused_by_key(undisturbed):
  _, workdir = undisturbed
  with pytest.raises(errors.UserError, match="batch_size 16 -> 32; give a new --workdir"):
    trainer.train(tiny(batch_size=32), str(workdir), whole_runs.one_device())
  trainer.train(
    tiny(log__every_steps=3), str(workdir), whole_runs.one_device()
  )  # what is logged may change


def test_what_no_run_can_have_is_told_before_what_this_one_cannot(undisturbed):
  _, workdir = undisturbed
  for change, words in (
    ({"method__temperature": 0.0}, "method.temperature 0.0 is outside"),
    ({"model__stem": "big"}, "model stem 'big' is unknown"),
    ({"optimizer__momentum": 2.0}, "optimizer momentum 2.0 must be"),
    ({"augment__blur": 2.0}, "augment.blur 2.0 is not a probability"),
    ({"image_size_px": 10_000}, "image_size_px 10000 is above 4096"),
  ):
    with pytest.raises(errors.UserError, match=words):
      trainer.train(tiny(batch_size=32, **change), str(workdir), whole_runs.one_device())


def test_a_run_from_before_orders_had_names_goes_on_with_its_own(
  undisturbed, tmp_path, monkeypatch
):
  workdir = shutil.copytree(undisturbed[1], tmp_path / "run")
  before = json.loads((workdir / "config.json").read_text())
  assert before["data"].pop("order") == "feistel"
  text = json.dumps(before)
  (workdir / "config.json").write_text(text)
  digest = hashlib.sha256(text.encode()).hexdigest()
  (workdir / "versions.json").write_text(json.dumps({"config_sha256": digest}))
  with pytest.raises(errors.UserError, match=r"data\.order sort -> feistel; give a new --workdir"):
    trainer.train(tiny(), str(workdir), whole_runs.one_device())
  asked, batches = [], pipeline.train_batches

  def noted(*args, order_name, **options):
    asked.append(order_name)
    return batches(*args, order_name=order_name, **options)

  monkeypatch.setattr(pipeline, "train_batches", noted)
  trainer.train(tiny(data__order=None), str(workdir), whole_runs.one_device())
  assert asked == ["sort"]
  assert workdir_lib.stored_config(str(workdir)).data.order == "sort"
  trainer.train(tiny(data__order=None), str(undisturbed[1]), whole_runs.one_device())
  assert asked == ["sort", "feistel"]


def refuse(*_, **__):
  raise errors.UserError("this cannot be")


def test_what_only_tracing_finds_is_said_before_anything_is_made(tmp_path, monkeypatch):
  monkeypatch.setattr(guard, "keep_if_not_finite", refuse)
  with pytest.raises(errors.UserError, match="this cannot be"):
    trainer.train(tiny(), str(tmp_path / "run"), whole_runs.one_device())
  assert not (tmp_path / "run").exists()


def test_the_step_is_traced_once(tmp_path, monkeypatch):
  traced, keep = [], guard.keep_if_not_finite
  monkeypatch.setattr(guard, "keep_if_not_finite", lambda *a: traced.append(1) or keep(*a))
  trainer.train(tiny(epochs=1), str(tmp_path), whole_runs.one_device())
  assert len(traced) == 1


def test_a_config_that_never_reached_a_checkpoint_holds_no_workdir(tmp_path, monkeypatch):
  with monkeypatch.context() as patch:
    patch.setattr(pipeline, "train_batches", refuse)
    with pytest.raises(errors.UserError, match="this cannot be"):
      trainer.train(tiny(), str(tmp_path), whole_runs.one_device())
  assert workdir_lib.stored_config(str(tmp_path)) == tiny()
  workdir_lib.check(str(tmp_path), tiny(batch_size=32))


def test_views_that_are_asked_for_later_are_drawn_then(undisturbed):
  _, workdir = undisturbed
  assert not (workdir / "views.png").exists()
  trainer.train(tiny(log__views=True), str(workdir), whole_runs.one_device())
  assert (workdir / "views.png").stat().st_size > 100


def test_a_checkpoint_of_another_network_is_refused_and_kept(undisturbed):
  _, workdir = undisturbed
  stored = (workdir / "config.json").read_text()
  with pytest.raises(errors.UserError, match=r"checkpoint 12 has .*use the run's own config"):
    trainer.train(
      tiny(model__width=0.5, allow_config_change=True), str(workdir), whole_runs.one_device()
    )
  assert loading.saved_steps(str(workdir))[-1] == 12
  assert (workdir / "config.json").read_text() == stored


def test_steps_that_are_not_finite_are_skipped_and_three_in_a_row_end_the_run(
  tmp_path, monkeypatch, capfd
):
  monkeypatch.setattr(methods, "get", broken.not_finite_at(4, 5, 8, 9, 10))
  with pytest.raises(errors.NonFiniteLoss, match="loss is nan.* at step 11, the 3. not finite in"):
    trainer.train(tiny(), str(tmp_path), whole_runs.one_device())
  said = capfd.readouterr().err
  assert re.search(r"ALARM  step 6: loss is nan.*: the update is skipped, 2 since the start", said)
  lines = whole_runs.metrics(tmp_path)
  assert [r["step"] for r in lines if r["loss"] is None] == [5, 6, 9, 10, 11]
  assert {r["step"]: r["skipped"] for r in lines}[8] == 2
  assert loading.saved_steps(str(tmp_path)) == [4, 8], "the last good one is kept"
  for leaf in jax.tree.leaves(loading.load_run(str(tmp_path)).params):
    assert np.all(np.isfinite(leaf))


def test_an_alarm_is_told_once_until_it_clears(tmp_path, capfd, monkeypatch):
  limits = {"monitor__alarm_after_steps": 1, "monitor__min_std": 1e9}
  limits |= {"monitor__lasting_steps": 3, "monitor__min_gradient": 1e9}
  monkeypatch.setattr(simclr.Method, "chance", lambda self, task, num_views: 0.125)
  limits["data__order"] = "sort"  # in which no alarm clears and comes again
  trainer.train(tiny(**limits), str(tmp_path), whole_runs.one_device())
  told = [line for line in capfd.readouterr().err.splitlines() if "ALARM" in line]
  std, chance, gradient = told  # the first at step 2, the others at 4: metrics come every 2
  assert "step 2: std of z" in std and "< 1000000000.0" in std
  assert "step 4: loss " in chance and "above chance (0.125: all embeddings alike) for 4" in chance
  assert "step 4: norm of the gradient" in gradient and "for 4 steps in a row" in gradient
  lines = whole_runs.metrics(tmp_path)
  alarms = [alarm for x in lines for alarm in x.get("alarms", [])]
  assert len(alarms) == 3, "in the file as on the console"
  assert all(alarm in line for alarm, line in zip(alarms, told, strict=True))


def test_an_alarm_is_told_at_the_end_of_an_epoch_though_nothing_is_logged(tmp_path, capfd):
  limits = {"monitor__alarm_after_steps": 1, "monitor__min_std": 1e9, "log__every_steps": 1000}
  trainer.train(tiny(epochs=2, **limits), str(tmp_path), whole_runs.one_device())
  assert "ALARM  step 4: std of z" in capfd.readouterr().err  # of 8, 4 an epoch
  assert [x["step"] for x in whole_runs.metrics(tmp_path) if "alarms" in x] == [4]


def test_unreadable_images_are_a_line_an_epoch_and_counted_in_the_metrics(
  tmp_path, monkeypatch, capfd
):
  batches = pipeline.Batches.__iter__

  def replaced(self):
    for batch in batches(self):
      batch["replaced"][0] = 1
      yield batch

  monkeypatch.setattr(pipeline.Batches, "__iter__", replaced)
  trainer.train(tiny(), str(tmp_path), whole_runs.one_device())
  told = [line for line in capfd.readouterr().err.splitlines() if "unreadable images" in line]
  assert len(told) == 3, told
  assert told[1].startswith("step 5: unreadable images are replaced (5 since the start)")
  lines = whole_runs.metrics(tmp_path)
  assert {x["step"]: x["replaced"] for x in lines} == {s: s for s in (2, 4, 6, 8, 10, 12)}


def test_a_workdir_that_becomes_read_only_ends_the_run_and_keeps_what_was_saved(
  tmp_path, monkeypatch
):
  """By the error that the system gives: who tests as root may write everywhere."""
  write = part_files.write

  def read_only(path, *pieces):
    if path.parents[2].name not in ("trial.tmp", "4.tmp"):
      raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
    return write(path, *pieces)

  monkeypatch.setattr(part_files, "write", read_only)
  with pytest.raises(errors.SaveFailed, match="checkpoint 8 cannot .*Read-only file system"):
    trainer.train(tiny(epochs=50), str(tmp_path), whole_runs.one_device())
  assert loading.saved_steps(str(tmp_path)) == [4]
  steps = [line["step"] for line in whole_runs.metrics(tmp_path)]
  assert 8 <= steps[-1] < 100, "within some steps, not at the end"


@pytest.mark.slow
def test_a_disk_that_takes_no_more_ends_the_run_with_one_line_and_its_code(tmp_path):
  """A limit on the size of a file stands for the full disk: arrays do not fit, the log does."""
  train = members.training(members.config_file(tmp_path, epochs=2000), tmp_path / "run")
  limited = members.start(
    *("sh", "-c", 'ulimit -f 16; exec "$@"', "sh", *train),
    PYTHONDONTWRITEBYTECODE="1",  # the limit would cut caches that others read
  )
  [code], [err] = members.ends([limited])
  assert code == errors.EXIT_SAVE_FAILED, err
  assert "stopped: a trial checkpoint cannot be written (" in err.splitlines()[-1]
  assert "Traceback" not in err
  assert list((tmp_path / "run" / "checkpoints").iterdir()) == [], "no half checkpoint is left"


def test_a_probe_that_is_not_finite_lets_the_encoder_go_on(tmp_path, capfd):
  """At such a rate its logits overflow from the second step on; the encoder does not notice."""
  run = lambda name, **changes: trainer.train(  # noqa: E731
    tiny(epochs=1, **changes), str(tmp_path / name), whole_runs.one_device()
  )
  broken, sound = run("broken", monitor__online_learning_rate=3e38), run("sound")
  jax.tree.map(np.testing.assert_array_equal, broken.state.params, sound.state.params)
  assert (broken.metrics["online_skipped"], broken.metrics["skipped"]) == (3, 0)
  assert sound.metrics["online_skipped"] == 0
  assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(broken.state.probe))
  assert capfd.readouterr().err.count("Try a lower --config.monitor.online_learning_rate") == 1


def test_a_run_with_another_batch_size_counts_its_steps_anew(tmp_path, monkeypatch, capfd):
  """The step is the clock. What a memory holds of the old sizes is made for the new ones."""

  class Remembers(methods.get("simclr")):
    def init_memory(self, net, variables, task, key):
      return {"steps_per_epoch": jnp.asarray(task.steps_per_epoch), "kept": jnp.ones(())}

    def resume(self, memory, fresh):
      return memory | {"steps_per_epoch": fresh["steps_per_epoch"]}

    def update_memory(self, memory, params, carry, progress):
      return memory | {"kept": memory["kept"] + 1}

  monkeypatch.setattr(methods, "get", lambda name: Remembers)
  trainer.train(tiny(epochs=1), str(tmp_path), whole_runs.one_device())  # 4 steps
  changed = {"batch_size": 32, "allow_config_change": True}
  with pytest.raises(errors.UserError, match="step 4, beyond the 2 steps .* --config.epochs=3 or"):
    trainer.train(tiny(epochs=1, **changed), str(tmp_path), whole_runs.one_device())
  memory = trainer.train(
    tiny(epochs=3, **changed), str(tmp_path), whole_runs.one_device()
  ).state.memory
  assert (int(memory["steps_per_epoch"]), float(memory["kept"])) == (2, 7)
  told = capfd.readouterr().err
  assert "goes on from step 4, epoch 2.00 of 3" in told
  assert "step 4 was image 0 of epoch 1 in batches of 16, and is image 0 of epoch 2 in" in told
  assert "in batches of 32: 64 images are left out" in told
