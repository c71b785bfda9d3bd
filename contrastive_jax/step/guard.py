"""A step that is not finite changes nothing but the number of steps.

Loss and gradient may be finite and the update overflow all the same, or a statistic of the batch:
the whole new state is looked at, which reads it once.
"""

import functools
import operator

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from contrastive_jax.step.state import TrainState


def keep_if_not_finite(
  old: TrainState, new: TrainState, loss: Float[Array, ""], grad_norm: Float[Array, ""]
) -> tuple[TrainState, Float[Array, ""]]:
  """Returns the state to go on with, and 1.0 if the update was skipped, else 0.0.

  Loss, gradient and state are global, so all devices decide alike. `step` moves on either way: the
  next step sees other images.
  """
  floating = (x for x in jax.tree.leaves(new) if jnp.issubdtype(x.dtype, jnp.floating))
  each = (jnp.all(jnp.isfinite(x)) for x in (loss, grad_norm, *floating))
  finite = functools.reduce(operator.and_, each)
  kept = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, old)
  return kept.replace(step=new.step), 1.0 - finite
