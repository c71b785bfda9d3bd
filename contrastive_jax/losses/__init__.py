"""The losses as formulas, the similarities under them, and the memories that they compare with.

Imports: errors, parallel.
"""

from contrastive_jax.losses.formulas import (
  cross_entropy,
  images,
  infonce,
  infonce_between_views,
  l2_normalize,
  mean_over_negatives,
  mean_positive,
  ntxent,
  of_views,
  semi_hard,
  swapped_prediction,
  to_own_views,
)

__all__ = [
  "cross_entropy",
  "images",
  "infonce",
  "infonce_between_views",
  "l2_normalize",
  "mean_over_negatives",
  "mean_positive",
  "ntxent",
  "of_views",
  "semi_hard",
  "swapped_prediction",
  "to_own_views",
]
