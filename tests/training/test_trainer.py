"""A run: resumed bit for bit, preempted, stopped when not finite, watched for collapse."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs
from conftest import ONE_DEVICE_FLAGS, REPOSITORY
from tiny_config import tiny, with_monitor

from contrastive_jax import config, errors, keys, methods
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.data import pipeline
from contrastive_jax.evaluation import features
from contrastive_jax.step import collapse, guard
from contrastive_jax.training import monitor, trainer
from contrastive_jax.workdir import checkpoint, tree_files


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("undisturbed")
  return trainer.train(tiny(), str(workdir), runs.one_device()), workdir


def test_an_interrupted_run_goes_on_bit_for_bit(undisturbed, tmp_path, monkeypatch):
  with monkeypatch.context() as patch:
    runs.interrupt_after_save(patch, 2)
    with pytest.raises(KeyboardInterrupt):
      trainer.train(tiny(), str(tmp_path), runs.one_device())
  assert checkpoint.saved_steps(str(tmp_path)) == [4, 8]
  resumed = trainer.train(tiny(), str(tmp_path), runs.one_device())
  runs.assert_equal(resumed.state, undisturbed[0].state)
  steps = [json.loads(x)["step"] for x in (tmp_path / "metrics.jsonl").read_text().splitlines()]
  assert steps == sorted(set(steps)) and steps[-1] == 12, "no step is logged twice or lost"


def test_evaluation_reads_the_trained_weights(undisturbed):
  result, workdir = undisturbed
  run = checkpoint.load_run(str(workdir))
  assert run.step == 12
  runs.assert_equal(run.params, jax.device_get(result.state.params))
  runs.assert_equal(run.stats, jax.device_get(result.state.stats))
  assert config.flatten(run.config) == config.flatten(tiny())


def test_a_finished_run_started_again_changes_nothing(undisturbed):
  result, workdir = undisturbed
  before = checkpoint.saved_steps(str(workdir))
  again = trainer.train(tiny(), str(workdir), runs.one_device())
  runs.assert_equal(again.state, result.state)
  assert checkpoint.saved_steps(str(workdir)) == before


def test_another_config_in_the_same_workdir_is_refused_by_key(undisturbed):
  _, workdir = undisturbed
  with pytest.raises(errors.UserError, match="batch_size 16 -> 32; give a new --workdir"):
    trainer.train(tiny(batch_size=32), str(workdir), runs.one_device())
  trainer.train(
    tiny(log__every_steps=3), str(workdir), runs.one_device()
  )  # what is logged may change


def test_a_config_that_never_reached_a_checkpoint_holds_no_workdir(tmp_path, monkeypatch):
  """A mistake that only tracing finds, put right with the same --workdir."""

  def refuse(*_):
    raise errors.UserError("this loss cannot be traced")

  with monkeypatch.context() as patch:
    patch.setattr(guard, "keep_if_not_finite", refuse)
    with pytest.raises(errors.UserError, match="cannot be traced"):
      trainer.train(tiny(), str(tmp_path), runs.one_device())
  assert workdir_lib.stored_config(str(tmp_path)) == tiny()
  workdir_lib.check(str(tmp_path), tiny(batch_size=32))


def test_views_that_are_asked_for_later_are_drawn_then(undisturbed):
  _, workdir = undisturbed
  assert not (workdir / "views.png").exists()
  trainer.train(tiny(log__views=True), str(workdir), runs.one_device())
  assert (workdir / "views.png").stat().st_size > 100


def test_a_checkpoint_of_another_network_is_refused_and_kept(undisturbed):
  _, workdir = undisturbed
  stored = (workdir / "config.json").read_text()
  with pytest.raises(errors.UserError, match=r"checkpoint 12 has .*use the run's own config"):
    trainer.train(tiny(model__width=0.5, allow_config_change=True), str(workdir), runs.one_device())
  assert checkpoint.saved_steps(str(workdir))[-1] == 12
  assert (workdir / "config.json").read_text() == stored


def not_finite_at(*steps):
  """SimCLR whose loss is NaN at these steps, told by the key that a step gets."""

  class Breaks(methods.get("simclr")):
    def loss(self, net, params, stats, memory, batch, key):
      value, aux = super().loss(net, params, stats, memory, batch, key)
      keys_of = [jax.random.fold_in(keys.stream(0, "method"), step) for step in steps]
      broken = [jnp.all(jax.random.key_data(key) == jax.random.key_data(k)) for k in keys_of]
      return value + jnp.where(jnp.any(jnp.stack(broken)), jnp.nan, 0.0), aux

  return lambda name: Breaks


def test_steps_that_are_not_finite_are_skipped_and_three_in_a_row_end_the_run(
  tmp_path, monkeypatch, capfd
):
  monkeypatch.setattr(methods, "get", not_finite_at(4, 5, 8, 9, 10))
  with pytest.raises(errors.NonFiniteLoss, match="loss is nan.* at step 11, the 3. not finite in"):
    trainer.train(tiny(), str(tmp_path), runs.one_device())
  said = capfd.readouterr().err
  assert re.search(r"ALARM  step 6: loss is nan.*: the update is skipped, 2 since the start", said)
  lines = [json.loads(x) for x in (tmp_path / "metrics.jsonl").read_text().splitlines()]
  assert [r["step"] for r in lines if r["loss"] is None] == [5, 6, 9, 10, 11]
  assert {r["step"]: r["skipped"] for r in lines}[8] == 2
  assert checkpoint.saved_steps(str(tmp_path)) == [4, 8], "the last good one is kept"
  for leaf in jax.tree.leaves(checkpoint.load_run(str(tmp_path)).params):
    assert np.all(np.isfinite(leaf))


def send_sigterm():
  os.kill(os.getpid(), signal.SIGTERM)


def sigterm_while_set_up(patch):
  create = monitor.Monitor.create
  patch.setattr(monitor.Monitor, "create", lambda *a: (send_sigterm(), create(*a))[1])


def sigterm_while_compiled(patch):
  keep = guard.keep_if_not_finite
  patch.setattr(guard, "keep_if_not_finite", lambda *a: (send_sigterm(), keep(*a))[1])


def sigterm_while_scored(patch):
  extract = features.extract
  patch.setattr(features, "extract", lambda *a, **k: (send_sigterm(), extract(*a, **k))[1])


def sigterm_while_saved(patch):
  write = tree_files.write
  patch.setattr(tree_files, "write", lambda *a: (send_sigterm(), write(*a))[1])


@pytest.mark.parametrize(
  "phase, saved",
  [
    (sigterm_while_set_up, []),
    (sigterm_while_compiled, [1]),
    (sigterm_while_scored, [2]),
    (sigterm_while_saved, [2]),
  ],
)
def test_sigterm_in_any_phase_saves_what_there_is_and_leaves(tmp_path, monkeypatch, phase, saved):
  c = with_monitor()
  c.epochs, c.monitor.every_epochs = 20, 1
  with monkeypatch.context() as patch:
    phase(patch)
    with pytest.raises(errors.Preempted):
      trainer.train(c, str(tmp_path), runs.one_device())
  steps = checkpoint.saved_steps(str(tmp_path))
  assert steps[: len(saved)] == saved
  assert len(steps) == len(saved) + (phase is sigterm_while_saved)  # it left one step or so later
  assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, "put back"


def test_sigterm_that_also_ends_a_compiler_is_no_error(tmp_path, monkeypatch):
  def compile(*_):
    send_sigterm()
    raise jax.errors.JaxRuntimeError("INTERNAL: ptxas exited with non-zero error code 15, output: ")

  monkeypatch.setattr(trainer, "_step", compile)
  with pytest.raises(errors.Preempted, match="SIGTERM: it ended what .*code 15, output:.* saved"):
    trainer.train(tiny(), str(tmp_path), runs.one_device())


def test_an_error_of_jax_without_sigterm_stays_one(tmp_path, monkeypatch):
  def compile(*_):
    raise jax.errors.JaxRuntimeError("INTERNAL: no such kernel")

  monkeypatch.setattr(trainer, "_step", compile)
  with pytest.raises(jax.errors.JaxRuntimeError, match="no such kernel"):
    trainer.train(tiny(), str(tmp_path), runs.one_device())


def test_collapse_is_told_once_until_it_clears(tmp_path, capfd):
  limits = {"monitor__alarm_after_steps": 1, "monitor__min_std": 1e9}
  trainer.train(tiny(**limits), str(tmp_path), runs.one_device())
  told = [line for line in capfd.readouterr().err.splitlines() if "ALARM" in line]
  assert len(told) == 1 and "std of z" in told[0] and "< 1000000000.0" in told[0]
  lines = [json.loads(x) for x in (tmp_path / "metrics.jsonl").read_text().splitlines()]
  [alarms] = [x["alarms"] for x in lines if "alarms" in x]
  assert len(alarms) == 1 and alarms[0] in told[0], "in the file as on the console"


def test_unreadable_images_are_a_line_an_epoch_and_counted_in_the_metrics(
  tmp_path, monkeypatch, capfd
):
  batches = pipeline.train_batches

  def replaced(*args, **options):
    for batch in batches(*args, **options):
      batch["replaced"][0] = 1
      yield batch

  monkeypatch.setattr(pipeline, "train_batches", replaced)
  trainer.train(tiny(), str(tmp_path), runs.one_device())
  told = [line for line in capfd.readouterr().err.splitlines() if "unreadable" in line]
  assert len(told) == 3, told
  assert told[1].startswith("step 5: unreadable images are replaced (5 since the start)")
  lines = [json.loads(x) for x in (tmp_path / "metrics.jsonl").read_text().splitlines()]
  assert {x["step"]: x["replaced"] for x in lines} == {s: s for s in (2, 4, 6, 8, 10, 12)}


def test_collapse_figures_of_known_embeddings():
  rng = np.random.default_rng(0)
  even = rng.normal(size=(4096, 1, 16)).astype(np.float32)
  found = collapse.metrics(jnp.asarray(even))
  np.testing.assert_allclose(found["std"], 1, atol=0.02)
  np.testing.assert_allclose(found["rank"], 16, rtol=0.02)
  np.testing.assert_allclose(found["cosine"], 0, atol=0.01)
  point = collapse.metrics(jnp.ones((64, 1, 16)))
  np.testing.assert_allclose([point["std"], point["cosine"]], [0, 1], atol=1e-3)
  line = np.outer(rng.choice([-1.0, 1.0], 64), np.ones(16))[:, None].astype(np.float32)
  np.testing.assert_allclose(collapse.metrics(jnp.asarray(line))["rank"], 1, rtol=1e-3)


def test_collapse_alarms_name_the_figure_and_its_limit():
  limits = {"min_std": 0.1, "min_rank": 2.0, "max_cosine": 0.95}
  assert not collapse.alarms({"std": 1.0, "rank": 9.0, "cosine": 0.1}, **limits)
  lines = collapse.alarms({"std": 0.01, "rank": 1.0, "cosine": 0.99}, **limits)
  assert list(lines) == ["std", "rank", "cosine"]
  assert "0.010 < 0.1" in lines["std"]


def test_a_workdir_that_becomes_read_only_ends_the_run_and_keeps_what_was_saved(
  tmp_path, monkeypatch
):
  """By the error that the system gives: who tests as root may write everywhere."""
  write = tree_files.write

  def read_only(directory, items):
    if directory.name != "4.tmp":
      raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(directory))
    write(directory, items)

  monkeypatch.setattr(tree_files, "write", read_only)
  with pytest.raises(errors.SaveFailed, match="checkpoint 8 cannot .*Read-only file system"):
    trainer.train(tiny(epochs=50), str(tmp_path), runs.one_device())
  assert checkpoint.saved_steps(str(tmp_path)) == [4]
  steps = [json.loads(x)["step"] for x in (tmp_path / "metrics.jsonl").read_text().splitlines()]
  assert 8 <= steps[-1] < 100, "within some steps, not at the end"


def start(workdir, tmp_path, epochs, limit="true"):
  """Starts train.py with the tiny config in a process of its own, after a shell's `limit`."""
  configuration = tmp_path / "tiny.py"
  if not configuration.exists():
    configuration.write_text(
      f"import sys\nsys.path.insert(0, {str(REPOSITORY / 'tests')!r})\n"
      f"import tiny_config\n\n\ndef get_config():\n  return tiny_config.tiny(epochs={epochs})\n"
    )
  environment = dict(os.environ, JAX_PLATFORMS="cpu", PYTHONPATH=str(REPOSITORY))
  environment["XLA_FLAGS"] = ONE_DEVICE_FLAGS
  environment["PYTHONDONTWRITEBYTECODE"] = "1"  # a limit on files would cut caches that others read
  command = (
    f"{sys.executable} {REPOSITORY / 'train.py'} --config={configuration} --workdir={workdir}"
  )
  return subprocess.Popen(
    ["sh", "-c", f"{limit}; exec {command}"],
    env=environment,
    stderr=subprocess.PIPE,
    text=True,
  )


def wait_for_checkpoint(process, workdir):
  deadline = time.monotonic() + 300
  while process.poll() is None and time.monotonic() < deadline:
    if checkpoint.saved_steps(str(workdir)):
      return
    time.sleep(0.01)


@pytest.mark.slow
def test_sigterm_saves_and_leaves_with_its_code(tmp_path):
  workdir = tmp_path / "run"
  process = start(workdir, tmp_path, epochs=2000)
  wait_for_checkpoint(process, workdir)
  process.send_signal(signal.SIGTERM)
  _, err = process.communicate(timeout=120)
  assert process.returncode == errors.EXIT_PREEMPTED, err
  saved = int(err.split("left: SIGTERM: saved step ")[1].split(";")[0])
  assert checkpoint.saved_steps(str(workdir))[-1] == saved
  assert "Traceback" not in err


@pytest.mark.slow
def test_a_disk_that_takes_no_more_ends_the_run_with_one_line_and_its_code(tmp_path):
  """A limit on the size of a file stands for the full disk: arrays do not fit, the log does."""
  process = start(tmp_path / "run", tmp_path, epochs=2000, limit="ulimit -f 16")
  _, err = process.communicate(timeout=120)
  assert process.returncode == errors.EXIT_SAVE_FAILED, err
  assert "stopped: checkpoint 4 cannot be written (" in err.splitlines()[-1]
  assert "Traceback" not in err
  # Threads of Orbax may leave files after the half checkpoint was removed; they do not count.
  left = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()]
  assert all(".tmp" in name for name in left), left
