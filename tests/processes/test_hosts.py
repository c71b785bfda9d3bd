"""How the processes of a run find each other, and what looks like a lost one."""

import re

import pytest

from contrastive_jax import errors
from contrastive_jax.processes import hosts

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
    (
      SLURM | OMPI | {"OMPI_MCA_orte_hnp_uri": "1.0;tcp://a:1"},
      {"cluster_detection_method": "ompi"},
    ),
    (SLURM | {"SLURM_STEP_NUM_TASKS": "8"}, {"cluster_detection_method": "slurm"}),
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
  "step",
  [
    {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_TASKS_PER_NODE": "1"},
    {"SLURM_STEP_TASKS_PER_NODE": "1"},
    {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_TASKS_PER_NODE": "1", "SLURM_STEP_ID": "4294967290"},
  ],
)
def test_the_one_process_in_the_shell_of_a_job_waits_for_nobody(step):
  """`salloc -n 8` opens a step of one task; SLURM_NTASKS is still that of the job."""
  place, hint = hosts.detect(SLURM | step)
  assert place is None
  assert "SLURM job 7 has room for 8 tasks" in hint and "runs alone" in hint and "srun" in hint


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
