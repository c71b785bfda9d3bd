"""One stream of random keys for each purpose, so that no two purposes share a draw."""

import zlib

import jax
from jaxtyping import PRNGKeyArray

from contrastive_jax import errors

_MAX_SEED = 2**32 - 1  # jax.random.key takes the lower 32 bits: a larger seed would repeat another


def stream(seed: int, purpose: str) -> PRNGKeyArray:
  """Returns the key of `purpose` ("init", "views", "method", ...) in the run of `seed`."""
  return jax.random.fold_in(jax.random.key(seed), zlib.crc32(purpose.encode()))


def check_seed(seed: int) -> None:
  """Raises `UserError` for a seed that is no key of its own."""
  if not 0 <= seed <= _MAX_SEED:
    raise errors.UserError(f"seed {seed} is outside 0..{_MAX_SEED}; set --config.seed=0, 1, ...")
