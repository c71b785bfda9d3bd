"""How much work XLA puts into a program on a CPU, where its default costs more than it gains."""

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


def once(function: Callable, **options) -> Callable:
  """Returns `jax.jit(function, **options)` for a program that runs once: quick to compile."""
  return _jit(function, _ONCE, options)


def often(function: Callable, **options) -> Callable:
  """Returns `jax.jit(function, **options)` for a training step: as quick to run as by default."""
  return _jit(function, _OFTEN, options)


def _jit(function: Callable, on_cpu: dict[str, int | bool], options: dict) -> Callable:
  is_cpu = jax.default_backend() == "cpu"
  return jax.jit(function, compiler_options=on_cpu if is_cpu else None, **options)
