"""Malloc and JAX as a command has them (contrastive_jax/cli/heap.py); imported before all else."""

from contrastive_jax.cli import heap

if heap.keep():  # nothing is kept once there are threads, and NumPy begins some
  import jax

  jax.config.update("jax_cpu_enable_async_dispatch", False)
