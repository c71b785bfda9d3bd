"""What runs leave on the machine: processes, and segments of shared memory.

Processes are known by a mark in their environment, which those that they start inherit.
"""

import os
import pathlib
import time
import uuid

import pytest

_PROC = pathlib.Path("/proc")
_VARIABLE = "CONTRASTIVE_JAX_TEST_MARK"
on_linux = pytest.mark.skipif(not _PROC.is_dir(), reason="processes are looked for in /proc")


def children() -> list[int]:
  """Returns the processes that this one started and that are not done."""
  lists = _PROC.joinpath("self/task").glob("*/children")
  return [int(pid) for path in lists for pid in _read(path).split()]


class Watched:
  """Processes that are started with `environment`, and all that these start."""

  def __init__(self):
    self.environment = {_VARIABLE: uuid.uuid4().hex}
    self._segments: set[pathlib.Path] = set()

  def processes(self) -> set[int]:
    """Returns who of them lives."""
    mark = f"{_VARIABLE}={self.environment[_VARIABLE]}".encode()
    return {int(p.name) for p in _PROC.glob("[0-9]*") if mark in _read(p / "environ").split(b"\0")}

  def look(self) -> None:
    """Remembers the segments of shared memory that they have now."""
    for pid in self.processes():
      for link in (*_listed(_PROC / str(pid) / "map_files"), *_listed(_PROC / str(pid) / "fd")):
        try:
          path = pathlib.Path(os.readlink(link))
        except OSError:
          continue
        if path.is_relative_to("/dev/shm"):
          self._segments.add(path)

  def left(self, within_s: float = 30.0) -> tuple[list[int], list[str]]:
    """Returns the processes and segments that are there when so long has passed, or no more are."""
    deadline = time.monotonic() + within_s
    while True:
      processes = sorted(self.processes())
      segments = sorted(str(path) for path in self._segments if path.exists())
      if not processes and not segments or time.monotonic() > deadline:
        return processes, segments
      time.sleep(0.05)


def _read(path: pathlib.Path) -> bytes:
  try:
    return path.read_bytes()
  except OSError:  # it has ended, or is somebody else's
    return b""


def _listed(folder: pathlib.Path) -> list[pathlib.Path]:
  try:
    return list(folder.iterdir())
  except OSError:
    return []
