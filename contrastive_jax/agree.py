"""What processes decide together, so that all go the same way. Every process must call."""

import jax
import numpy as np
from jax.experimental import multihost_utils


def any_process(flag: bool) -> bool:
  """Returns whether `flag` is true on any process."""
  if jax.process_count() == 1:
    return flag
  return bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))


def first_process_says(numbers: list[int], at_most: int = 64) -> list[int]:
  """Returns the last `at_most` of the int32 `numbers` >= 0 that process 0 has."""
  if jax.process_count() == 1:
    return numbers[-at_most:]
  padded = np.full(at_most, -1, np.int32)
  padded[: len(numbers[-at_most:])] = numbers[-at_most:]
  return [int(n) for n in multihost_utils.broadcast_one_to_all(padded) if n >= 0]
