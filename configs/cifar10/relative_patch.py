"""Relative patch location (Doersch et al., 2015) on CIFAR-10.

contrastive_jax train --config=cifar10/relative_patch --workdir=runs/relative_patch \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/relative_patch:cpu ...
"""

from contrastive_jax.configs import common


def get_config(size="gpu"):
  config = common.cifar10("relative_patch", "crop_only", size)
  config.augment.grey_p = 0.66
  config.augment.normalize = "cifar"  # as patches are standardised, whole images are, too
  config.augment.min_area = 0.76
  config.image_size_px = 63  # cells of 21 px and patches of 16, made of 8 px of the image
  if size == "cpu":
    config.batch_size = 64
    config.method.embedding_size = 128
    config.method.head_width = 512
    config.method.dropout = 0.2
    config.optimizer.base_lr = 0.6
  return config
