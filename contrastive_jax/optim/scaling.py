"""The peak of the learning rate from a base rate and the batch size."""

import math

from contrastive_jax import errors

# The rate at batch size B from the base rate. They meet at B = 4096: 0.3·4096/256 = 0.075·√4096.
SCALINGS = {
  "linear": lambda base_lr, batch_size: base_lr * batch_size / 256,  # Goyal et al., 2017
  "sqrt": lambda base_lr, batch_size: base_lr * math.sqrt(batch_size),  # SimCLR, section B.1
  "none": lambda base_lr, batch_size: base_lr,
}


def scaled_lr(lr_scaling: str, base_lr: float, batch_size: int) -> float:
  """Returns the peak learning rate for a global batch of `batch_size` images (not views)."""
  if lr_scaling not in SCALINGS:
    raise errors.UserError(
      f"optimizer lr_scaling {lr_scaling!r} is unknown; use one of {', '.join(SCALINGS)}"
    )
  if batch_size < 1:
    raise errors.UserError(f"batch_size {batch_size} must be at least 1")
  if not (base_lr >= 0 and math.isfinite(base_lr)):
    raise errors.UserError(f"optimizer base_lr {base_lr} must be a finite number, 0 or more")
  return float(SCALINGS[lr_scaling](base_lr, batch_size))
