"""Context encoder (Pathak et al., 2016), reconstruction loss on CIFAR-10.

contrastive_jax train --config=cifar10/context_encoder --workdir=runs/context_encoder \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/context_encoder:cpu ...
"""

from contrastive_jax.configs import common


def get_config(size="gpu"):
  config = common.cifar10("context_encoder", "crop_only", size)
  config.method.place = "anywhere"
  config.method.hole = 0.5
  config.augment.min_area = 0.6  # whole objects, as are probed
  config.augment.normalize = "cifar"
  if size == "cpu":
    config.method.decoder_width = 64
    config.batch_size = 64
    config.optimizer.name = "adamw"  # the gradient of a mean over pixels is small for SGD
    config.optimizer.base_lr = 2e-3
    config.optimizer.lr_scaling = "none"
  return config
