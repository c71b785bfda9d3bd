"""A small state with all that a real one holds."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from contrastive_jax import parallel
from contrastive_jax.step.state import TrainState


def state(seed):
  """A small state with all that a real one holds: named tuples, scalars, bfloat16, nothing."""
  rng = np.random.default_rng(seed)
  params = {
    "dense": {"kernel": jnp.asarray(rng.normal(size=(16, 8)), jnp.float32)},
    "scale": jnp.asarray(rng.normal(size=7), jnp.bfloat16),
  }
  made = TrainState(
    step=jnp.asarray(seed, jnp.int32),
    params=params,
    stats={"mean": jnp.asarray(rng.normal(size=8), jnp.float32)},
    opt_state=optax.adam(0.1).init(params),
    memory={"queue": jnp.asarray(rng.normal(size=(32, 4)), jnp.float32)},
    probe={},
  )
  return parallel.replicate(made, parallel.make_mesh(jax.devices()[:2]))
