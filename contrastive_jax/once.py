"""Programs that run once, such as an initialisation: quick to compile rather than quick to run."""

from collections.abc import Callable

import jax

# Compiling an initialisation takes far longer than running it.
_CPU_OPTIONS = {
  "xla_backend_optimization_level": 0,
  "xla_llvm_disable_expensive_passes": True,
}


def jit(function: Callable, **options) -> Callable:
  """Returns `jax.jit(function, **options)`, on a CPU without costly optimisation."""
  on_cpu = jax.default_backend() == "cpu"
  return jax.jit(function, compiler_options=_CPU_OPTIONS if on_cpu else None, **options)
