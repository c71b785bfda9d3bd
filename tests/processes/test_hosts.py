"""Several processes of one run: how they find each other, disagree, leave and die."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
import runs
from conftest import ONE_DEVICE_FLAGS, REPOSITORY

from contrastive_jax import errors
from contrastive_jax.processes import hosts
from contrastive_jax.workdir import checkpoint

SLURM = {
  "SLURM_JOB_ID": "7",
  "SLURM_STEP_NODELIST": "node[1-2]",
  "SLURM_NTASKS": "8",
  "SLURM_PROCID": "3",
  "SLURM_LOCALID": "3",
  "SLURM_STEP_TASKS_PER_NODE": "4(x2)",
}
ONE_TASK_A_NODE = SLURM | {"SLURM_STEP_TASKS_PER_NODE": "1(x8)"}
OMPI = {
  "OMPI_COMM_WORLD_SIZE": "2",
  "OMPI_COMM_WORLD_RANK": "1",
  "OMPI_COMM_WORLD_LOCAL_RANK": "1",
}


def without(environment, *names):
  return {k: v for k, v in environment.items() if k not in names}


@pytest.mark.parametrize(
  "environment, place",
  [
    ({}, None),
    (SLURM, {"cluster_detection_method": "slurm"}),
    (ONE_TASK_A_NODE, {"cluster_detection_method": "slurm", "local_device_ids": []}),
    (
      SLURM | {"CUDA_VISIBLE_DEVICES": "2"},
      {"cluster_detection_method": "slurm", "local_device_ids": []},
    ),
    (SLURM | {"CUDA_VISIBLE_DEVICES": "0,1,2,3"}, {"cluster_detection_method": "slurm"}),
    (SLURM | {"SLURM_NTASKS": "1"}, None),
    (
      OMPI | {"OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.0.0.1:34911"},
      {"cluster_detection_method": "ompi"},
    ),
    (OMPI | {"OMPI_COMM_WORLD_SIZE": "1"}, None),
    ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, None),  # a notebook in a cluster
  ],
)
def test_a_complete_environment_is_joined_and_none_is_none(environment, place):
  assert hosts.detect(environment) == (place, None)


@pytest.mark.parametrize("missing", ["SLURM_STEP_NODELIST", "SLURM_PROCID", "SLURM_LOCALID"])
def test_half_a_slurm_environment_is_a_hint_and_no_crash(missing):
  place, hint = hosts.detect(without(SLURM, missing))
  assert place is None
  assert "SLURM job 7 has 8 tasks" in hint and missing in hint and "srun" in hint


@pytest.mark.parametrize(
  "environment, words",
  [
    (OMPI, "Open MPI started 2 processes .* mpi4py"),
    (
      {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "1"},
      "number 1 of an indexed job: it runs alone",
    ),
  ],
)
def test_a_launcher_that_cannot_be_joined_is_a_hint(environment, words, monkeypatch):
  monkeypatch.setattr(hosts.importlib.util, "find_spec", lambda name: None)
  place, hint = hosts.detect(environment)
  assert place is None and re.search(words, hint)


@pytest.mark.parametrize(
  "given, words",
  [
    (("10.0.0.1:1", None, None), "--num_processes, --process_id is missing"),
    ((None, 2, 0), "--coordinator is missing"),
    (("10.0.0.1", 2, 0), "--coordinator=10.0.0.1 is not HOST:PORT"),
    (("10.0.0.1:1", 2, 2), r"--process_id=2 is outside 0\.\.1"),
  ],
)
def test_flags_that_cannot_be_are_one_line(given, words):
  with pytest.raises(errors.UserError, match=words):
    hosts.connect(*given)


@pytest.mark.parametrize(
  "failure",
  [
    ValueError("coordinator_address should be defined."),
    OSError("metadata.google.internal is unknown"),
    ImportError("No module named 'requests'"),
  ],
)
def test_tpus_whose_environment_tells_of_no_others_are_a_hint(failure, monkeypatch):
  def refuse(**_):
    raise failure

  monkeypatch.setattr(hosts, "_on_tpu", lambda env: True)
  monkeypatch.setattr(hosts, "_delay_abort", lambda: None)
  monkeypatch.setattr(hosts.jax.distributed, "initialize", refuse)
  hint = hosts.connect()
  assert str(failure) in hint and "this process runs alone; give --coordinator" in hint
  failure = RuntimeError("DEADLINE_EXCEEDED: connecting")
  with pytest.raises(errors.PeerLost, match="DEADLINE_EXCEEDED"):
    hosts.connect()


@pytest.mark.parametrize(
  "raised, seen",
  [
    (errors.UserError("a peer is unavailable to gloo"), errors.UserError),
    (ValueError("gloo: connection reset by peer"), errors.PeerLost),
    (ValueError("shapes differ"), ValueError),
  ],
)
def test_only_what_looks_like_a_lost_process_becomes_one(raised, seen, monkeypatch):
  monkeypatch.setattr(hosts.jax, "process_count", lambda: 2)
  with (
    pytest.raises(ValueError if seen is not errors.PeerLost else seen) as caught,
    hosts.losses_named(),
  ):
    raise raised
  assert type(caught.value) is seen


def member(folder, index, *flags, port, count=2, epochs=2, more=""):
  """Starts process `index` of a run of the tiny config; `more` is code for its config file."""
  folder.mkdir(parents=True, exist_ok=True)
  (folder / "tiny.py").write_text(
    f"import sys\nimport time\n\nsys.path.insert(0, {str(REPOSITORY / 'tests')!r})\n"
    "import tiny_config\n"
    f"{more}\n\ndef get_config():\n  return tiny_config.tiny(epochs={epochs})\n"
  )
  place = [f"--coordinator=127.0.0.1:{port}", f"--num_processes={count}", f"--process_id={index}"]
  train = [REPOSITORY / "train.py", f"--config={folder / 'tiny.py'}", f"--workdir={folder / 'run'}"]
  environment = dict(os.environ, JAX_PLATFORMS="cpu", PYTHONPATH=str(REPOSITORY))
  return subprocess.Popen(
    [sys.executable, *train, *place, *flags],
    env=environment | {"XLA_FLAGS": ONE_DEVICE_FLAGS},
    stdout=subprocess.DEVNULL,  # gloo talks there
    stderr=subprocess.PIPE,
    text=True,
  )


def pair(folder, *flags_of_each, **options):
  port = runs.free_port()
  flags_of_each = flags_of_each or ((), ())
  return [member(folder, i, *flags, port=port, **options) for i, flags in enumerate(flags_of_each)]


def ends(members, timeout=240):
  """Returns the exit codes and what each wrote, and leaves no process behind."""
  try:
    said = [m.communicate(timeout=timeout)[1] for m in members]
  finally:
    for m in members:
      m.kill()
  return [m.returncode for m in members], said


def wait_for_saves(members, folder, count):
  deadline = time.monotonic() + 240
  while len(checkpoint.saved_steps(str(folder / "run"))) < count:
    assert time.monotonic() < deadline and all(m.poll() is None for m in members)
    time.sleep(0.02)


def last_line(text):
  return text.splitlines()[-1]


@pytest.mark.slow
def test_unequal_configs_are_refused_by_the_name_of_the_process(tmp_path):
  codes, said = ends(pair(tmp_path, (), ("--config.seed=1",)))
  assert codes == [errors.EXIT_USER_ERROR] * 2, said
  for text in said:
    assert re.search(r"error: process 1 on \S+ has config.seed 1, process 0 .* 0; start all", text)
    assert "Traceback" not in text
  assert not (tmp_path / "run").exists()


ONE_HAS_NO_IMAGES = """
from contrastive_jax import errors
from contrastive_jax.training import trainer

source = trainer.build.source


def missing(*args):
  if "--process_id=1" in sys.argv:
    raise errors.UserError("no images here; mount the disk")
  return source(*args)


trainer.build.source = missing
"""


@pytest.mark.slow
def test_what_one_process_alone_cannot_do_ends_all_with_its_words(tmp_path):
  codes, said = ends(pair(tmp_path, more=ONE_HAS_NO_IMAGES))
  assert codes == [errors.EXIT_USER_ERROR] * 2, said
  for text in said:
    assert re.search(r"error: process 1 on \S+: no images here; mount the disk", last_line(text))


@pytest.mark.slow
def test_sigterm_to_one_process_saves_and_ends_all_after_the_same_step(tmp_path):
  members = pair(tmp_path, epochs=5000)
  wait_for_saves(members, tmp_path, 1)
  members[1].send_signal(signal.SIGTERM)
  codes, said = ends(members)
  assert codes == [errors.EXIT_PREEMPTED] * 2, said
  steps = [re.search(r"left: SIGTERM: saved step (\d+)", text).group(1) for text in said]
  assert steps[0] == steps[1] == str(checkpoint.saved_steps(str(tmp_path / "run"))[-1])


SIGTERM_INSIDE = """
import os
import signal

from contrastive_jax import {module}

call = {module}.{function}


def signalled(*args, **options):
  if "--process_id={process}" in sys.argv:
    os.kill(os.getpid(), signal.SIGTERM)
  return call(*args, **options)


{module}.{function} = signalled
"""
SCORED = (
  "--config.monitor.every_epochs=1",
  "--config.monitor.max_train=32",
  "--config.monitor.batch_size=32",
  "--config.monitor.k=5",
)


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize(
  "module, function, process", [("features", "extract", 1), ("tree_files", "write", 0)]
)
def test_sigterm_to_one_process_that_scores_or_saves_ends_all_after_a_save(
  tmp_path, module, function, process
):
  more = SIGTERM_INSIDE.format(module=module, function=function, process=process)
  codes, said = ends(pair(tmp_path, SCORED, SCORED, epochs=50, more=more))
  assert codes == [errors.EXIT_PREEMPTED] * 2, said
  steps = [re.search(r"left: SIGTERM: saved step (\d+)", text).group(1) for text in said]
  assert steps[0] == steps[1] == str(checkpoint.saved_steps(str(tmp_path / "run"))[-1])
  assert int(steps[0]) < 16, "at once"


NOT_FINITE = """
import jax
import jax.numpy as jnp

from contrastive_jax import keys, methods


class Breaks(methods.get("simclr")):
  def loss(self, net, params, stats, memory, batch, key):
    value, aux = super().loss(net, params, stats, memory, batch, key)
    data = jax.random.key_data
    of_steps = [data(jax.random.fold_in(keys.stream(0, "method"), s)) for s in (5, 6, 7)]
    broken = jnp.any(jnp.stack([jnp.all(data(key) == other) for other in of_steps]))
    return value + jnp.where(broken, jnp.nan, 0.0), aux


methods.get = lambda name: Breaks
"""


@pytest.mark.slow
@pytest.mark.thorough
def test_steps_that_are_not_finite_end_all_processes_alike(tmp_path):
  codes, said = ends(pair(tmp_path, epochs=5, more=NOT_FINITE))
  assert codes == [errors.EXIT_NON_FINITE] * 2, said
  for text in said:
    assert re.search(r"stopped: loss is nan.* at step 8, the 3. not finite", last_line(text))
  assert checkpoint.saved_steps(str(tmp_path / "run")) == [4]


@pytest.mark.slow
def test_a_process_that_never_comes_is_waited_for_no_longer_than_asked(tmp_path):
  alone = member(tmp_path, 0, "--connect_timeout_s=3", port=runs.free_port())
  [code], [said] = ends([alone])
  assert code == errors.EXIT_PEER_LOST, said
  assert "stopped: process 0 of 2 at 127.0.0.1" in last_line(said)
  assert "not all came within 3 s" in last_line(said)


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, pytest.param(1, marks=pytest.mark.thorough)])
def test_the_death_of_a_process_ends_the_others(tmp_path, lost):
  members = pair(tmp_path, epochs=5000)
  wait_for_saves(members, tmp_path, 1)
  members[lost].kill()
  codes, said = ends(members)
  survivor = 1 - lost
  assert codes[lost] == -signal.SIGKILL
  assert codes[survivor] == errors.EXIT_PEER_LOST, said[survivor]
  assert "lost another process" in last_line(said[survivor])
  assert "Traceback" not in said[survivor]


@pytest.mark.slow
def test_a_stopped_process_is_named_by_the_other(tmp_path):
  flags = ("--config.watchdog.peer_silent_s=15",)
  members = pair(tmp_path, flags, flags, epochs=5000)
  wait_for_saves(members, tmp_path, 1)
  members[1].send_signal(signal.SIGSTOP)
  members[0].wait(timeout=120)
  members[1].kill()
  codes, said = ends(members)
  assert codes[0] == errors.EXIT_PEER_LOST, said
  assert re.search(r"stopped: process 1 on \S+ gives no sign of life for \d+ s", said[0])


HANG = """
from contrastive_jax.training import trainer
load, enter = trainer.pipeline.train_batches, trainer.Watchdog.__enter__
watchdogs = []


def hang(*args, **options):
  for number, batch in enumerate(load(*args, **options)):
    if number == 6 and "--process_id=1" in sys.argv:
      watchdogs[0]._stuck_after_s = 4.0  # not from the start: compiling may take any time
      time.sleep(1000)
    yield batch


trainer.pipeline.train_batches = hang
trainer.Watchdog.__enter__ = lambda self: watchdogs.append(self) or enter(self)
"""


@pytest.mark.slow
@pytest.mark.thorough
def test_a_loader_that_hangs_is_named_with_its_stack(tmp_path):
  members = pair(tmp_path, more=HANG)
  codes, said = ends(members)
  assert codes[1] == errors.EXIT_STUCK, said
  assert re.search(r"stopped: process 1 on \S+ is loading the batch of step 7 for \d+ s", said[1])
  assert "in hang" in said[1], "the stack names the line that hangs"
  assert codes[0] == errors.EXIT_PEER_LOST, said
