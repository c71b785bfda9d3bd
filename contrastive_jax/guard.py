"""A step whose loss or gradient is not finite changes nothing but the number of steps."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from contrastive_jax.state import TrainState


def keep_if_not_finite(
  old: TrainState, new: TrainState, loss: Float[Array, ""], grad_norm: Float[Array, ""]
) -> tuple[TrainState, Float[Array, ""]]:
  """Returns the state to go on with, and 1.0 if the update was skipped, else 0.0.

  Loss and gradient are global, so all devices decide alike. `step` moves on either way: the next
  step sees other images.
  """
  finite = jnp.isfinite(loss) & jnp.isfinite(grad_norm)
  kept = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, old)
  return kept.replace(step=new.step), 1.0 - finite
