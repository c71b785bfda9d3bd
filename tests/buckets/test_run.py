"""A whole run in a bucket: moved to another machine, scored from a third, equal to a local one."""

import signal
import subprocess
import sys
import time

import members
import pytest
import tiny_config
import whole_runs
from bucket_servers import on_s3_slowly as pytest_generate_tests  # noqa: F401

from contrastive_jax import errors, face, paths
from contrastive_jax import launch as launch_lib
from contrastive_jax.buckets import steps
from contrastive_jax.evaluation import evaluate
from contrastive_jax.training import trainer


@pytest.mark.slow
def test_a_run_that_moves_to_another_machine_ends_as_a_local_one(server, tmp_path, monkeypatch):
  config = tiny_config.tiny(log__tensorboard=True)
  local_run = trainer.train(config, str(tmp_path / "local"), whole_runs.one_device())
  with monkeypatch.context() as patch:
    whole_runs.interrupt_after_save(patch, 2)
    with pytest.raises(KeyboardInterrupt):
      trainer.train(config, server.address("run"), whole_runs.one_device())
  monkeypatch.setenv(paths.CACHE, str(tmp_path / "another machine"))
  moved = face.train(config, server.address("run"), whole_runs.one_device())
  whole_runs.assert_equal(moved.state, local_run.state)
  assert [line["step"] for line in moved.history] == [2, 4, 6, 8, 10, 12]
  assert [line["loss"] for line in moved.history] == list(
    whole_runs.losses(tmp_path / "local").values()
  )
  assert sum("tensorboard/" in name for name in server.objects()) == 2, "a file a start"
  assert launch_lib._newest(["train", f"--workdir={server.address('run')}"]) == 12

  monkeypatch.setenv(paths.CACHE, str(tmp_path / "a third"))
  eval_config = tiny_config.evaluation()
  eval_config.protocols = ("knn",)
  found = evaluate.run(eval_config, server.address("run"), whole_runs.one_device())
  again = evaluate.run(eval_config, server.address("run"), whole_runs.one_device())
  assert found["file"] == again["file"] == "scores.json"
  assert b'"complete": true' in server.objects()["run/eval/scores.json"]
  assert [p.name for p in (tmp_path / "a third").rglob("*") if p.is_file()] == []


def test_a_mistake_leaves_nothing_here_or_there(server, tmp_path):
  here = tmp_path / "machine"
  with pytest.raises(errors.UserError, match="there is no bucket no-such-bucket"):
    trainer.train(tiny_config.tiny(), f"{server.kind}://no-such-bucket/run")
  server.before = lambda method, path: 403
  with pytest.raises(errors.UserError, match="may not be used"):
    trainer.train(tiny_config.tiny(), server.address("run"))
  server.before = lambda method, path: None
  assert not here.exists() and server.objects() == {}


@pytest.mark.slow
@pytest.mark.s3_thorough
def test_the_commands_take_buckets_and_import_no_tensorflow(server, tmp_path):
  """Through the command line, each in a process of its own."""
  config = members.config_file(tmp_path, epochs=1)
  workdir = server.address("run")
  look = (
    "import atexit, sys\n"
    "atexit.register(lambda: print('loaded', *({'tensorflow', 'torch'} & set(sys.modules))))\n"
    "from contrastive_jax import cli\ncli.main(sys.argv[1:])"
  )
  environment = members.environment(
    **server.environment, CONTRASTIVE_JAX_CACHE=str(tmp_path / "cache")
  )

  def run(*words):
    done = subprocess.run(
      [sys.executable, "-c", look, *words], env=environment, capture_output=True, text=True
    )
    return done.returncode, done.stdout.strip().splitlines()[-1], done.stderr

  code, loaded, said = run("train", f"--config={config}", f"--workdir={workdir}")
  assert (code, loaded) == (0, "loaded"), said
  assert f"{workdir}: the run works in its copy {tmp_path}/cache/runs/" in said
  code, loaded, said = run("eval", "--config=eval/knn", f"--workdir={workdir}")
  assert (code, loaded) == (0, "loaded"), said
  assert f"results are in {workdir}/eval/knn.json" in said
  code, _, said = run("train", "--plan=cpu:1", "--config=shapes/quickstart", f"--workdir={workdir}")
  assert code == 2 and "is no path of a file system" in said


@pytest.mark.slow
@pytest.mark.s3_thorough
def test_sigterm_in_the_middle_of_a_save_commits_it_and_the_step_that_was_reached(server, tmp_path):
  config = members.config_file(tmp_path, epochs=5000)
  cache = str(tmp_path / "cache")
  run = members.start(
    *members.training(config, server.address("run")),
    CONTRASTIVE_JAX_CACHE=cache,
    **server.environment,
  )

  def committed_and_torn():
    names = [name.removeprefix("run/") for name in server.objects()]
    committed = set(steps.marked(names))
    return committed, steps.objects(names).keys() - committed

  deadline = time.monotonic() + 300
  while not all(committed_and_torn()):
    assert run.poll() is None and time.monotonic() < deadline
    time.sleep(0.002)
  run.send_signal(signal.SIGTERM)
  [code], [said] = members.ends([run])
  assert code == errors.EXIT_PREEMPTED, said
  committed, torn = committed_and_torn()
  assert not torn and f"saved step {max(committed)};" in said
  assert b'"released": true' in server.objects()["run/lease/00000001.json"]
