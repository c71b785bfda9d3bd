"""SimCLR that diverges when a test wants it to."""

import jax
import jax.numpy as jnp

from contrastive_jax import keys, methods


def not_finite_at(*steps):
  """`methods.get` of a SimCLR whose loss is NaN at these steps, told by the key that each gets."""

  class Breaks(methods.get("simclr")):
    def loss(self, net, params, stats, memory, batch, key):
      value, aux = super().loss(net, params, stats, memory, batch, key)
      keys_of = [jax.random.fold_in(keys.stream(0, "method"), step) for step in steps]
      broken = [jnp.all(jax.random.key_data(key) == jax.random.key_data(k)) for k in keys_of]
      return value + jnp.where(jnp.any(jnp.stack(broken)), jnp.nan, 0.0), aux

  return lambda name: Breaks
