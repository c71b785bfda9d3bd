"""Exemplar (Dosovitskiy et al., 2014) on CIFAR-10.

contrastive_jax train --config=cifar10/exemplar --workdir=runs/exemplar \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/exemplar:cpu ...
"""

from contrastive_jax.configs import common


def get_config(size="gpu"):
  config = common.cifar10("exemplar", "crop_only", size)
  config.augment.grey_p = 0.66
  if size == "cpu":
    config.method.embedding_size = 64
    config.method.crops = 4
    config.batch_size = 64
    config.optimizer.base_lr = 0.6
  return config
