"""Keeps the memory that a step on a CPU is done with for the next step.

XLA asks malloc for a step's temporary memory each time. glibc takes blocks of that size from the
system and gives them back as soon as they are freed, so the next step has every page made and
zeroed anew: a sixth to a quarter of a step's CPU time (docs/devices.md). One arena that neither
maps nor trims keeps them; the memory of the process then stays at its peak.
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
_PAD_BYTES = 2**28  # the heap grows by so much at once


def keep() -> None:
  """Sets malloc so, unless there are threads: these have arenas, and later ones would share them.

  Importing NumPy begins some. Nor is anything set where another device may be JAX's, where the
  environment has settings of malloc, or for another malloc than glibc's.
  """
  if not sys.platform.startswith("linux") or len(os.listdir("/proc/self/task")) > 1:
    return
  if not _only_cpu() or any(n.startswith("MALLOC_") or n == "GLIBC_TUNABLES" for n in os.environ):
    return
  set_option = getattr(ctypes.CDLL(None), "mallopt", None)
  if set_option and hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
    for option, value in (
      (_ARENA_MAX, 1),
      (_MMAP_MAX, 0),
      (_TRIM_THRESHOLD, -1),
      (_TOP_PAD, _PAD_BYTES),
    ):
      set_option(option, value)


def _only_cpu() -> bool:
  if platforms := os.environ.get("JAX_PLATFORMS"):
    return platforms == "cpu"
  plugins = importlib.metadata.entry_points(group="jax_plugins")
  if not plugins and not importlib.util.find_spec("libtpu"):
    return True
  return not any(map(glob.glob, _ACCELERATORS))
