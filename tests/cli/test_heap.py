"""What malloc keeps, told by the pages that a process is given anew."""

import ctypes
import os
import subprocess
import sys

import pytest

_FAULTS = """
import resource, threading
from contrastive_jax.cli import heap
heap.keep()

def blocks():
  for _ in range(10):
    b"x" * (1 << 26)  # 64 MiB, freed at once

thread = threading.Thread(target=blocks)
blocks()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
thread.start()
thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
  not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="the C library is not glibc"
)
@pytest.mark.parametrize(
  "environment, kept",
  [({"JAX_PLATFORMS": "cpu"}, True), ({"JAX_PLATFORMS": "cuda,cpu"}, False)]
  + [({"JAX_PLATFORMS": "cpu", "MALLOC_ARENA_MAX": "2"}, False)],
)
def test_memory_that_is_freed_is_used_again_on_a_cpu_alone(environment, kept):
  others = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
  done = subprocess.run(
    [sys.executable, "-c", _FAULTS],
    env=others | environment,
    capture_output=True,
    text=True,
    check=True,
  )
  pages = 10 * 2**26 // os.sysconf("SC_PAGE_SIZE")
  assert (int(done.stdout) < pages / 100) is kept
