"""How much work XLA puts into a program on a CPU, where its default costs more than it gains.

What `XLA_FLAGS` sets holds: only what it leaves out is set here.
"""

import os
from collections.abc import Callable

import jax

# Compiling an initialisation takes far longer than running it.
_ONCE = {
  "xla_backend_optimization_level": 0,
  "xla_llvm_disable_expensive_passes": True,
}
# Most of a step is products and convolutions, which no level compiles: a step takes as long, and
# its numbers are the same up to rounding (docs/devices.md).
_OFTEN = {"xla_backend_optimization_level": 1}
# Of several devices of a CPU each begins collectives as they become ready: two that begin with
# different ones wait for each other, and XLA ends the process after 40 s. In the order that takes
# the least memory this was not seen (docs/devices.md).
_ON_SEVERAL = {"xla_cpu_enable_concurrency_optimized_scheduler": False}


def once(function: Callable, **options) -> Callable:
  """Returns `jax.jit(function, **options)` for a program that runs once: quick to compile."""
  return _jit(function, _ONCE, options)


def often(function: Callable, **options) -> Callable:
  """Returns `jax.jit(function, **options)` for a training step: as quick to run as by default."""
  return _jit(function, _OFTEN, options)


def _jit(function: Callable, on_cpu: dict[str, int | bool], options: dict) -> Callable:
  if jax.default_backend() != "cpu":
    return jax.jit(function, compiler_options=None, **options)
  if jax.device_count() > 1:
    on_cpu = on_cpu | _ON_SEVERAL
  asked = os.environ.get("XLA_FLAGS", "")  # what it sets holds
  return jax.jit(
    function, compiler_options={k: v for k, v in on_cpu.items() if f"--{k}" not in asked}, **options
  )
