"""Random numbers for the parameters of an operation."""

import jax
from jaxtyping import Array, Float, PRNGKeyArray


def uniform(key: PRNGKeyArray, count: int) -> Float[Array, " count"]:
  """Draws `count` numbers from U[0, 1).

  From 3 numbers on, the first of 16, 32, ...: for a batch of keys XLA takes 2.0 s of CPU time to
  compile 9 draws of each, and 0.7 s to compile 16.
  """
  size = count if count < 3 else max(16, 1 << (count - 1).bit_length())
  return jax.random.uniform(key, (size,))[:count]
