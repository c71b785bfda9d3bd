"""What malloc keeps, told by the pages that a process is given anew."""

import ctypes
import os
import subprocess
import sys

import pytest

_STEPS = """
import concurrent.futures
import resource
from contrastive_jax.cli import heap
kept = heap.keep()
import jax
import jax.numpy as jnp

def pages_made(act):
  made = []
  for _ in range(8):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    act()
    made.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
  return min(made)

jax.config.update("jax_cpu_enable_async_dispatch", not kept)
x = jnp.ones((5_000, 16))
step = jax.jit(jax.grad(lambda x: jax.nn.logsumexp(x @ x.T, axis=1).sum()))
in_steps = pages_made(lambda: jax.block_until_ready(step(x)))  # needs blocks of 100 MB
in_one = pages_made(lambda: b"x" * 300_000_000)  # more than a heap grows by at once
with concurrent.futures.ThreadPoolExecutor(1) as other:
  act = lambda: [b"x" * 60_000_000 for _ in range(3)]  # each in a heap of its own
  in_other = other.submit(pages_made, act).result()
print(kept, in_steps, in_one, in_other)
"""


_RUN = """
import dataclasses, sys
from contrastive_jax import cli

def act(asked):
  import jax
  print(jax.config.read("jax_cpu_enable_async_dispatch"))

cli.COMMANDS["train"] = dataclasses.replace(cli.COMMANDS["train"], run=act)
cli.main(["train", "--config=shapes/quickstart", f"--workdir={sys.argv[1]}", "--nokeep_compiled"])
"""
_CASES = [
  ({"JAX_PLATFORMS": "cpu"}, True),
  ({"JAX_PLATFORMS": "cpu,cuda"}, False),
  ({"JAX_PLATFORMS": "cpu", "MALLOC_ARENA_MAX": "2"}, False),
]
glibc = pytest.mark.skipif(
  not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="the C library is not glibc"
)


def said(environment, code, *words):
  """What a program prints that has of malloc and XLA no other settings than these."""
  others = {
    k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_", "XLA_FLAGS"))
  }
  done = subprocess.run(
    [sys.executable, "-c", code, *words],
    env=others | environment,
    capture_output=True,
    text=True,
    check=True,
  )
  return done.stdout.split()


@glibc
@pytest.mark.parametrize("environment, kept", _CASES)
def test_a_step_has_the_memory_of_the_one_before_on_a_cpu_alone(environment, kept):
  answer, *made = said(environment, _STEPS)
  assert answer == str(kept)
  for pages, needed in zip(map(int, made), (5_000**2 * 4, 300_000_000, 180_000_000), strict=True):
    # A heap of XLA's own threads may still grow, by a tenth on some machines.
    assert (pages < needed / os.sysconf("SC_PAGE_SIZE") / 2) is kept


@glibc
@pytest.mark.parametrize("environment, kept", _CASES)
def test_programs_run_in_the_first_thread_where_it_keeps_memory(environment, kept, tmp_path):
  assert said(environment, _RUN, str(tmp_path)) == [str(not kept)]
