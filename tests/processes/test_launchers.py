"""A dry run of each place of docs/launch.md: from what it sets to where JAX would meet others."""

import os
import shlex
import subprocess
import sys

import jax
import members
import pytest
from jax._src.clusters import cloud_tpu_cluster, cluster

from contrastive_jax.processes import hosts

SLURM = {  # of `srun` on two nodes of four tasks, in the sixth of these
  "SLURM_JOB_ID": "7",
  "SLURM_NTASKS": "8",
  "SLURM_NNODES": "2",
  "SLURM_PROCID": "5",
  "SLURM_LOCALID": "1",
  "SLURM_STEP_ID": "0",
  "SLURM_STEP_NODELIST": "node[07-08]",
  "SLURM_STEP_NUM_TASKS": "8",
  "SLURM_STEP_TASKS_PER_NODE": "4(x2)",
}
SLURM_PORT = 65535 - 2**12 + 1 + 7  # JAX takes it from the number of the job
TPU_PORT = cloud_tpu_cluster.coordinator_port
GKE = {"TPU_WORKER_ID": "2", "TPU_WORKER_HOSTNAMES": "first-0,first-1,first-2,first-3"}
TWO_SLICES = GKE | {
  "MEGASCALE_COORDINATOR_ADDRESS": "first-slice-0-0",
  "MEGASCALE_NUM_SLICES": "2",
  "MEGASCALE_SLICE_ID": "1",
}
METADATA = {"agent-worker-number": "3", "worker-network-endpoints": "10.0.0.9,a:b:10.0.0.8,c,d"}
METADATA["tpu-env"] = "ACCELERATOR_TYPE: 'v5litepod-16'"
OF_LAUNCHERS = ("SLURM_", "TPU_", "MEGASCALE_", "OMPI_", "KUBERNETES_", "JOB_COMPLETION", "JAX_COO")


@pytest.fixture
def meeting(monkeypatch):
  """Where JAX would meet: address, number of processes, of this one, its devices; None: nowhere."""

  def meet(environment, tpu=False):
    joined = []

    def initialize(cluster_detection_method=None, local_device_ids=None, **rest):
      asked = (None, None, None, local_device_ids, cluster_detection_method, 1)
      joined.append(cluster.ClusterEnv.auto_detect_unset_distributed_params(*asked))

    for name in list(os.environ):
      if name.startswith(OF_LAUNCHERS):
        monkeypatch.delenv(name)
    for name, value in environment.items():
      monkeypatch.setenv(name, value)
    monkeypatch.setattr(hosts, "_on_tpu", lambda env: tpu)
    monkeypatch.setattr(hosts, "_delay_abort", lambda: None)
    monkeypatch.setattr(cluster, "running_in_cloud_tpu_vm", tpu)
    monkeypatch.setattr(cloud_tpu_cluster, "running_in_cloud_tpu_vm", tpu)
    found = {name: (text, 200) for name, text in METADATA.items()}
    monkeypatch.setattr(cloud_tpu_cluster, "get_metadata", lambda key: found.get(key, ("", 404)))
    monkeypatch.setattr(cloud_tpu_cluster.socket, "gethostbyname", lambda name: "10.0.0.1")
    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    hint = hosts.connect()
    return (joined[0] if joined else None), hint

  return meet


def test_a_tpu_vm_slice(meeting):
  """Every worker of a slice runs the same command; where the others are stands in its metadata."""
  place, hint = meeting({}, tpu=True)
  assert place == (f"10.0.0.9:{TPU_PORT}", 4, 3, None) and hint is None


@pytest.mark.parametrize(
  "environment, place",
  [
    (GKE, (f"first-0:{TPU_PORT}", 4, 2, None)),
    (TWO_SLICES, (f"first-slice-0-0:{TPU_PORT}", 8, 6, None)),
  ],
  ids=["a slice", "two slices"],
)
def test_gke_by_xpk(meeting, environment, place):
  skip = {"TPU_SKIP_MDS_QUERY": "1", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
  assert meeting(environment | skip | {"JOB_COMPLETION_INDEX": "2"}, tpu=True) == (place, None)


def test_slurm_with_a_process_for_each_gpu(meeting):
  assert meeting(SLURM) == ((f"node07:{SLURM_PORT}", 8, 5, [1]), None)


def test_slurm_with_a_process_for_each_node(meeting):
  alone = SLURM | {"SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "0"}
  alone |= {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_TASKS_PER_NODE": "1(x2)"}
  place, hint = meeting(alone)
  assert place == (f"node07:{SLURM_PORT}", 2, 1, []) and hint is None  # all that it sees


SHELL = {  # of `salloc --nodes=2 --ntasks=8`, where that opens its shell outside of any step
  "SLURM_JOB_ID": "7",
  "SLURM_NTASKS": "8",
  "SLURM_NNODES": "2",
  "SLURM_JOB_NODELIST": "node[07-08]",
}


@pytest.mark.parametrize(
  "environment, words",
  [
    (SHELL, "SLURM job 7 has 8 tasks, but SLURM_STEP_NODELIST is not set"),
    (SHELL | {"SLURM_PROCID": "0", "SLURM_LOCALID": "0"}, "has 8 tasks"),  # of sbatch's script
    (
      {k: v for k, v in SHELL.items() if k != "SLURM_NTASKS"},
      "SLURM job 7 has 2 nodes, and this process is of no step",
    ),
    (SHELL | {"SLURM_NTASKS": "1"}, "SLURM job 7 has 2 nodes, and this process is of no step"),
    (  # of `salloc --nodes=2`, where that opens its shell in a step of its own
      {k: v for k, v in SHELL.items() if k != "SLURM_NTASKS"}
      | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_ID": "4294967290"},
      "SLURM job 7 has 2 nodes",
    ),
    (
      SLURM | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_TASKS_PER_NODE": "1"},
      "has room for 8 tasks",
    ),
  ],
)
def test_an_interactive_shell_of_slurm_waits_for_nobody_and_says_so(meeting, environment, words):
  place, hint = meeting(environment)
  assert place is None
  assert words in hint and "runs alone" in hint and "start it with srun" in hint


def test_a_job_of_one_task_on_one_node_needs_no_hint(meeting):
  assert meeting(SHELL | {"SLURM_NTASKS": "1", "SLURM_NNODES": "1"}) == (None, None)


def test_several_local_processes_get_their_places(tmp_path):
  """By the launcher itself, whose processes write down what they were given."""
  code = "import sys; open(f'{sys.argv[1]}/{sys.argv[-1][-1]}', 'w').write(' '.join(sys.argv[2:]))"
  command = [sys.executable, "-c", code, str(tmp_path)]
  launcher = [sys.executable, "-m", "contrastive_jax.launch", "--processes=3", "--", *command]
  subprocess.run(launcher, check=True, env=members.environment())
  given = [shlex.split((tmp_path / str(i)).read_text()) for i in range(3)]
  [coordinator] = {flags[0] for flags in given}
  assert coordinator.startswith("--coordinator=127.0.0.1:")
  assert [flags[1:] for flags in given] == [
    ["--num_processes=3", f"--process_id={i}"] for i in range(3)
  ]
