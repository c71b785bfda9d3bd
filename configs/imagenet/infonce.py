"""InfoNCE between views on ImageNet with ResNet-50: E-SSL's SimCLR (Dangovski et al., 2022, code).

contrastive_jax train --config=imagenet/infonce --workdir=runs/infonce \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=imagenet/infonce:800 ...    # epochs

Asymmetric views, LARS at a fixed 4.8 for batches of 4096, weight decay 1e-6, ten epochs of warm-up,
cosine to a thousandth.
"""

from contrastive_jax.configs import common


def get_config(epochs="100"):
  config = common.imagenet("infonce", "barlow", epochs=int(epochs), batch_size=4096)
  config.model.padding = "torch"
  config.model.weight_init = "torch"
  config.optimizer.name = "lars_outside"
  config.optimizer.base_lr = 4.8
  config.optimizer.lr_scaling = "none"
  config.optimizer.final_fraction = 0.001
  return config
