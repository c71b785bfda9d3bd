"""Optimisers, learning-rate rules and schedules of contrastive learning, on top of optax.

Imports: errors, options.
"""

from contrastive_jax.optim import builder
from contrastive_jax.optim.builder import LrRule, build
from contrastive_jax.optim.frozen import Frozen
from contrastive_jax.optim.options import Options
from contrastive_jax.optim.scaling import scaled_lr
from contrastive_jax.optim.schedules import Schedule, schedule

__all__ = ["Frozen", "LrRule", "Options", "Schedule", "build", "builder", "scaled_lr", "schedule"]
