"""Keeps the memory that a step on a CPU is done with for the next step.

XLA asks malloc for a step's temporary memory each time. glibc takes blocks of that size from the
system and gives them back as soon as they are freed, so the next step has every page made and
zeroed anew: a sixth to a quarter of a step's CPU time (docs/devices.md). Arenas that neither map
nor trim keep them; the memory of the process then stays at its peak.

That holds for the first thread alone: the arenas of others consist of heaps of 64 MiB, and what is
larger is mapped anew. So the first thread has to run the programs. One arena for all threads would
keep everything, and they would wait for it while they compile and in small steps.
"""

import ctypes
import glob
import importlib.metadata
import importlib.util
import os
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8  # malloc.h
# Of NVIDIA, under Windows, of AMD, TPUs.
_ACCELERATORS = ("/dev/nvidia[0-9]*", "/dev/dxg", "/dev/kfd", "/dev/accel*", "/dev/vfio/[0-9]*")
_PAD_BYTES = 2**28  # a heap grows by so much at once; above 64 MiB no thread's is unmapped


def keep() -> bool:
  """Sets malloc so, unless there are threads: these have arenas already.

  Importing NumPy begins some. Nor is anything set where another device may be JAX's, where the
  environment has settings of malloc, or for another malloc than glibc's.

  Returns:
    Whether it is set. JAX then has to run programs in the thread that asks for them
    (`jax_cpu_enable_async_dispatch` off), and that has to be the first.
  """
  if not sys.platform.startswith("linux") or len(os.listdir("/proc/self/task")) > 1:
    return False
  if not _only_cpu() or any(n.startswith("MALLOC_") or n == "GLIBC_TUNABLES" for n in os.environ):
    return False
  set_option = getattr(ctypes.CDLL(None), "mallopt", None)
  if not set_option or not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
    return False
  set_option(_MMAP_MAX, 0)
  set_option(_TRIM_THRESHOLD, -1)
  set_option(_TOP_PAD, _PAD_BYTES)
  if len(os.sched_getaffinity(0)) == 1:
    set_option(_ARENA_MAX, 1)  # threads never wait for one that runs beside them
  return True


def _only_cpu() -> bool:
  if platforms := os.environ.get("JAX_PLATFORMS"):
    return platforms == "cpu"
  plugins = importlib.metadata.entry_points(group="jax_plugins")
  if not plugins and not importlib.util.find_spec("libtpu"):
    return True
  return not any(map(glob.glob, _ACCELERATORS))
