"""One run on several processes, often one a host: how they meet, and what happens if one is lost.

A process learns its place from three flags or from what started it (TPU, SLURM, Open MPI,
Kubernetes); JAX reads the addresses there. Where a description is incomplete the process runs by
itself and says so.
"""

import contextlib
import ctypes
import importlib.util
import os
import pathlib
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from contrastive_jax import errors
from contrastive_jax.processes import meeting

_GOOGLE = "0x1ae0"  # PCI vendor of TPUs
# After it JAX ends the others of a silent process, with words of its own: the watchdog, where it
# watches, is quicker by default.
_HEARTBEAT_S = 300

# What the launchers set in every process that they start.
_SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
_SLURM_SHELL = "4294967290"  # the step of one task that salloc may open for its shell
_OMPI = ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK")
# What a lost process looks like in the message of a collective, in lower case.
_SIGNS = ("gloo", "connection closed", "connection reset", "unavailable", "heartbeat", "peer")


def connect(
  coordinator: str | None = None,
  num_processes: int | None = None,
  process_id: int | None = None,
  *,
  timeout_s: int = 300,
) -> str | None:
  """Joins this process to the others of its run; call it before any other use of JAX.

  Args:
    coordinator: HOST:PORT of process 0, free there and reachable from all.
    num_processes: of the run.
    process_id: of this one, 0 <= process_id < num_processes.
    timeout_s: seconds to wait for the others.

  Returns:
    A hint to print if the environment tells of several processes but not enough to join them.

  Raises:
    UserError: some but not all of the three are given, one cannot be, or another process has the
      same number.
    PeerLost: the address cannot be used, or the others do not come in time. (Where JAX waits for
      them the process ends, with a line and `errors.EXIT_PEER_LOST`.)
  """
  given = {
    "--coordinator": coordinator,
    "--num_processes": num_processes,
    "--process_id": process_id,
  }
  missing = [name for name, value in given.items() if value is None]
  if not missing:
    _check(coordinator, num_processes, process_id)
    if num_processes > 1:
      meeting.meet(coordinator, num_processes, process_id, timeout_s)
      place = {
        "coordinator_address": coordinator,
        "num_processes": num_processes,
        "process_id": process_id,
        "cluster_detection_method": "deactivate",
      }
      if "JAX_COORDINATOR_BIND_ADDRESS" not in os.environ:
        place["coordinator_bind_address"] = meeting.bind_address(coordinator)
      _join(place, f"process {process_id} of {num_processes} at {coordinator}", timeout_s)
    return None
  if len(missing) < len(given):
    raise errors.UserError(
      f"{', '.join(missing)} is missing; give all of {', '.join(given)}, or none to take them from "
      "the environment"
    )
  place, hint = detect(os.environ)
  if place is not None:
    try:
      _join(place, "the processes that the environment tells of", timeout_s)
    except _Undescribed as error:
      return (
        f"the environment does not tell how to join other processes ({error}): this process runs "
        "alone; give --coordinator, --num_processes and --process_id to start several"
      )
  return hint


def detect(environment: Mapping[str, str]) -> tuple[dict[str, Any] | None, str | None]:
  """Returns (arguments of `jax.distributed.initialize`, hint); no arguments: one process alone."""
  env = environment
  if _on_tpu(env):
    return {}, None
  if (
    env.get("OMPI_COMM_WORLD_SIZE", "1") != "1"
  ):  # first: in a SLURM job mpirun passes that on, too
    if all(name in env for name in _OMPI) and "OMPI_MCA_orte_hnp_uri" in env:
      return {"cluster_detection_method": "ompi"}, None
    if importlib.util.find_spec("mpi4py"):
      return {"cluster_detection_method": "mpi4py"}, None
    return None, (
      f"Open MPI started {env['OMPI_COMM_WORLD_SIZE']} processes without the address of the first: "
      "this process runs alone; pip install mpi4py, or give --coordinator, --num_processes and "
      "--process_id"
    )
  if "SLURM_JOB_ID" in env and env.get("SLURM_NTASKS", "1") != "1":
    missing = [name for name in _SLURM if name not in env]
    if missing:
      return None, (
        f"SLURM job {env['SLURM_JOB_ID']} has {env['SLURM_NTASKS']} tasks, but {missing[0]} is not "
        "set: this process runs alone; start it with srun to use them all"
      )
    if _tasks_of_step(env) == 1:  # the shell of salloc: its job has room for more, nobody starts it
      return None, (
        f"SLURM job {env['SLURM_JOB_ID']} has room for {env['SLURM_NTASKS']} tasks, and this is "
        "the only one of its step: it runs alone; start it with srun to use them all"
      )
    place = {"cluster_detection_method": "slurm"}
    return place | ({"local_device_ids": []} if _owns_what_it_sees(env) else {}), None
  nobodys = _tasks_of_step(env) is None or env.get("SLURM_STEP_ID") == _SLURM_SHELL
  if "SLURM_JOB_ID" in env and nobodys and env.get("SLURM_NNODES", "1") != "1":
    return None, (
      f"SLURM job {env['SLURM_JOB_ID']} has {env['SLURM_NNODES']} nodes, and this process is of no "
      "step on all of them: it runs alone; start it with srun to use them all"
    )
  if "KUBERNETES_SERVICE_HOST" in env and "JOB_COMPLETION_INDEX" in env:
    if importlib.util.find_spec("kubernetes"):
      return {}, None
    return None, (
      f"Kubernetes started this as number {env['JOB_COMPLETION_INDEX']} of an indexed job: it runs "
      "alone; pip install kubernetes, or give --coordinator, --num_processes and --process_id"
    )
  return None, None


@contextlib.contextmanager
def losses_named() -> Iterator[None]:
  """Turns the failure of a collective whose other end is gone into `PeerLost`."""
  try:
    yield
  except errors.UserError:  # a ValueError too, of any words
    raise
  except (jax.errors.JaxRuntimeError, ValueError) as error:  # a dispatch of one device: the latter
    text = " ".join(str(error).split())
    if jax.process_count() == 1 or not any(sign in text.lower() for sign in _SIGNS):
      raise
    raise errors.PeerLost(
      f"process {jax.process_index()} on {socket.gethostname()} lost another process "
      f"({text[:200]}); start all {jax.process_count()} again, they go on from the last "
      "checkpoint, if there is one"
    ) from error


class _Undescribed(Exception):
  """JAX does not find in the environment where the other processes are."""


def _check(coordinator: str, num_processes: int, process_id: int) -> None:
  host, _, port = coordinator.rpartition(":")
  if not host or not port.isdigit():
    raise errors.UserError(f"--coordinator={coordinator} is not HOST:PORT, e.g. 10.0.0.1:1234")
  if not 0 <= process_id < num_processes:
    raise errors.UserError(
      f"--process_id={process_id} is outside 0..{num_processes - 1}; --num_processes="
      f"{num_processes} processes are numbered from 0"
    )


def _on_tpu(env: Mapping[str, str]) -> bool:
  """Whether JAX would run on TPUs of this machine; libtpu alone may be there to plan with."""
  if env.get("JAX_PLATFORMS", "tpu").split(",")[0] != "tpu":
    return False
  vendors = pathlib.Path("/sys/bus/pci/devices").glob("*/vendor")
  has_chip = any(path.read_text().strip() == _GOOGLE for path in vendors)
  return has_chip and importlib.util.find_spec("libtpu") is not None


def _tasks_of_step(env: Mapping[str, str]) -> int | None:
  """Returns how many tasks SLURM started together with this one; None: it does not tell."""
  if env.get("SLURM_STEP_NUM_TASKS", "").isdigit():
    return int(env["SLURM_STEP_NUM_TASKS"])
  found = re.findall(r"(\d+)(?:\(x(\d+)\))?", env.get("SLURM_STEP_TASKS_PER_NODE", ""))
  return sum(int(tasks) * int(nodes or 1) for tasks, nodes in found) or None


def _owns_what_it_sees(env: Mapping[str, str]) -> bool:
  """Whether a SLURM task may use every visible GPU: it is alone on its node, or SLURM gave it one.

  Otherwise JAX takes the GPU that has the task's number on the node.
  """
  tasks = env.get("SLURM_STEP_TASKS_PER_NODE", env.get("SLURM_TASKS_PER_NODE", ""))
  alone = bool(tasks) and all(part.partition("(")[0] == "1" for part in tasks.split(","))
  visible = env.get("CUDA_VISIBLE_DEVICES", env.get("ROCR_VISIBLE_DEVICES", ""))
  return alone or (bool(visible) and "," not in visible)


def _join(place: dict[str, Any], who: str, timeout_s: int) -> None:
  remedy = (
    "start all with the same flags, on a port that is free at the first and open to the others"
  )

  def give_up():  # JAX would end the process in its own words
    print(
      f"stopped: {who}: not all came within {timeout_s} s; {remedy}", file=sys.stderr, flush=True
    )
    os._exit(errors.EXIT_PEER_LOST)

  # SIGTERM is handled by preemption.py, on every process alike.
  jax.config.update("jax_enable_preemption_service", False)
  _delay_abort()
  timer = threading.Timer(timeout_s, give_up)
  timer.daemon = True
  timer.start()
  try:
    jax.distributed.initialize(
      **place, initialization_timeout=timeout_s + 60, heartbeat_timeout_seconds=_HEARTBEAT_S
    )
  except (RuntimeError, ValueError, OSError, ImportError) as error:
    reason = " ".join(str(error).split())[:200]
    # Whatever fails once the address is known is a RuntimeError, JAX's own or of a name look-up.
    if not place and not isinstance(error, RuntimeError):
      raise _Undescribed(reason) from error
    raise errors.PeerLost(f"{who}: cannot join the others ({reason}); {remedy}") from error
  finally:
    timer.cancel()


def _delay_abort() -> None:
  """Gives this process some seconds after JAX has decided to abort it.

  JAX aborts at once where process 0 is lost, from a thread of its own. `sleep`, as the handler of
  SIGABRT, gets the signal's number and holds that thread for so many seconds (6), in which the
  collective that failed is reported as it is when any other process is lost.
  """
  libc = ctypes.CDLL(None)
  libc.signal(signal.SIGABRT, ctypes.cast(libc.sleep, ctypes.c_void_p))
