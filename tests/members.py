"""Processes that tests start: alone, or as the members of one run.

They see this package, the helpers of tests, and devices of their own.
"""

import os
import pathlib
import socket
import subprocess
import sys
import time

from conftest import ONE_DEVICE_FLAGS, REPOSITORY

from contrastive_jax.workdir import loading

_CONNECT = """
import sys
import jax
jax.distributed.initialize(sys.argv[1], num_processes=2, process_id=int(sys.argv[2]))
"""


def environment(devices: int = 1, **more: str) -> dict[str, str]:
  flags = f"{ONE_DEVICE_FLAGS} --xla_force_host_platform_device_count={devices}"
  path = os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "tests")))
  return os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "PYTHONPATH": path} | more


def config_file(folder: pathlib.Path, *, before: str = "", method="simclr", **changes) -> str:
  """Writes a file whose config is `tiny_config.tiny`, after the code `before`; returns its path."""
  folder.mkdir(parents=True, exist_ok=True)
  (folder / "tiny.py").write_text(
    f"import tiny_config\n{before}\n\ndef get_config():\n"
    f"  return tiny_config.tiny({method!r}, **{changes!r})\n"
  )
  return str(folder / "tiny.py")


def training(config: str, workdir: pathlib.Path, *flags: str) -> list[str]:
  """The command that trains."""
  train = [sys.executable, str(REPOSITORY / "train.py")]
  return [*train, f"--config={config}", f"--workdir={workdir}", *flags]


def start(*command: str, devices: int = 1, **more: str) -> subprocess.Popen:
  """Starts a command, with `more` in its environment; its errors can be read."""
  return subprocess.Popen(
    command,
    env=environment(devices, **more),
    stdout=subprocess.DEVNULL,  # gloo talks there
    stderr=subprocess.PIPE,
    text=True,
  )


def ends(members: list[subprocess.Popen], timeout_s: float = 400) -> tuple[list[int], list[str]]:
  """Returns the exit codes and what each wrote, and leaves no process behind."""
  try:
    said = [member.communicate(timeout=timeout_s)[1] for member in members]
  finally:
    for member in members:
      member.kill()
  return [member.returncode for member in members], said


def wait_for_saves(members: list[subprocess.Popen], workdir: pathlib.Path, count: int = 1) -> None:
  """Waits until a run has so many checkpoints, or fails if a member has ended before."""
  deadline = time.monotonic() + 300
  while len(loading.saved_steps(str(workdir))) < count:
    assert time.monotonic() < deadline and all(m.poll() is None for m in members)
    time.sleep(0.01)


def two(code: str, *arguments: str) -> list[str]:
  """Runs code in two processes of two devices each, which are connected and whose `sys.argv[3:]`
  are the arguments; returns what each wrote."""
  place = f"127.0.0.1:{free_port()}"
  command = (sys.executable, "-c", _CONNECT + code, place)
  codes, said = ends([start(*command, str(i), *arguments, devices=2) for i in range(2)])
  assert codes == [0, 0], "\n".join(said)
  return said


def free_port() -> int:
  with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    return s.getsockname()[1]
