"""A step that is not finite changes nothing but the number of steps.

Loss and gradient may be finite and the update overflow all the same, or a statistic of the batch:
the whole new state is looked at, which reads it once. The online probe only watches: what is not
finite in it alone is its own affair, and the encoder goes on.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from contrastive_jax.step.state import TrainState


def keep_if_not_finite(
  old: TrainState, new: TrainState, loss: Float[Array, ""], grad_norm: Float[Array, ""]
) -> tuple[TrainState, Float[Array, ""]]:
  """Returns the state to go on with, and 1.0 if the update was skipped, else 0.0.

  The probe decides over nothing, see `keep_probe_if_not_finite`; it is kept with the rest. Loss,
  gradient and state are global, so all devices decide alike. `step` moves on either way: the next
  step sees other images.
  """
  finite = _finite((loss, grad_norm, new.replace(probe={})))
  kept = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, old)
  return kept.replace(step=new.step), 1.0 - finite


def keep_probe_if_not_finite(
  old: PyTree, new: PyTree
) -> tuple[PyTree, dict[str, Float[Array, ""]]]:
  """Returns the probe to go on with, and {"online_skipped": 1.0} if its update was, else 0.0.

  Without a probe, which is {}, there is no such metric.
  """
  if not new:
    return new, {}
  finite = _finite(new)
  kept = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, old)
  return kept, {"online_skipped": 1.0 - finite}


def _finite(tree: PyTree) -> Bool[Array, ""]:
  """Returns whether all that is floating is finite.

  The least of the leaves' answers is found by sorting, for XLA fuses no sort. It does fuse an `and`
  of all, into each of the selects that read it: every leaf of the state would then ask every
  other, and for a transformer's 600 leaves a CPU's compiler was not done after minutes.
  """
  floating = (x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating))
  each = jnp.stack([jnp.all(jnp.isfinite(x)) for x in floating])
  return jax.lax.sort(each.astype(jnp.int32))[0] > 0
