"""Jigsaw (Noroozi and Favaro, 2016) on CIFAR-10.

contrastive_jax train --config=cifar10/jigsaw --workdir=runs/jigsaw \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/jigsaw:cpu ...
"""

from contrastive_jax.configs import common


def get_config(size="gpu"):
  config = common.cifar10("jigsaw", "crop_only", size)
  config.augment.grey_p = 0.66
  config.augment.normalize = "cifar"  # as patches are standardised, whole images are, too
  config.augment.min_area = 0.76
  config.image_size_px = 63  # cells of 21 px and patches of 16, made of 8 px of the image
  if size == "cpu":
    config.batch_size = 64
    config.method.num_permutations = 30
    config.method.embedding_size = 128
    config.method.head_width = 512
    config.method.dropout = 0.2
    config.method.shuffles = 4
    config.optimizer.base_lr = 0.6
  return config
