"""A part of the training set that a probe does not see: what its penalty or rate is chosen on."""

import numpy as np
from jaxtyping import Int

from contrastive_jax import errors


def split(
  n: int, fraction: float, seed: int, section: str, remedy: str
) -> tuple[Int[np.ndarray, " fitted"], Int[np.ndarray, " held_out"]]:
  """Returns the positions to fit and those held out, in order.

  Args:
    n: examples in all.
    fraction: of them held out.
    seed: of the draw.
    section: of the options, in errors.
    remedy: what needs nothing held out, in errors.

  Raises:
    UserError: there are too few to hold any out.
  """
  held_out = round(n * fraction)
  if not 0 < held_out < n:
    raise errors.UserError(
      f"{section}.validation_fraction {fraction} of {n} examples holds out {held_out}; "
      f"give more examples, or {section}.{remedy}"
    )
  order = np.random.default_rng(seed).permutation(n)
  return np.sort(order[held_out:]), np.sort(order[:held_out])
