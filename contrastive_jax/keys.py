"""One stream of random keys for each purpose, so that no two purposes share a draw."""

import zlib

import jax
from jaxtyping import PRNGKeyArray


def stream(seed: int, purpose: str) -> PRNGKeyArray:
  """Returns the key of `purpose` ("init", "views", "method", ...) in the run of `seed`."""
  return jax.random.fold_in(jax.random.key(seed), zlib.crc32(purpose.encode()))
