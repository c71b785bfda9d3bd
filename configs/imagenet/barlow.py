"""Barlow Twins on ImageNet with ResNet-50 (Zbontar et al., 2021, section 2.2, and released code).

contrastive_jax train --config=imagenet/barlow --workdir=runs/barlow \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=imagenet/barlow:300 ...    # epochs; the paper has 1000

LARS at 0.2 B/256 for weights, 0.0048 B/256 for biases and batch norm, ten epochs of warm-up, cosine
to a thousandth. Weight decay is the paper's 1.5e-6; the released code has 1e-6.
"""

from contrastive_jax.configs import common


def get_config(epochs="1000"):
  config = common.imagenet("barlow", "barlow", epochs=int(epochs), batch_size=2048)
  config.model.padding = "torch"
  config.model.weight_init = "torch"
  config.optimizer.name = "lars_outside"
  config.optimizer.base_lr = 0.2
  config.optimizer.final_fraction = 0.001
  config.optimizer.weight_decay = 1.5e-6
  config.optimizer.lr_rules = ((config.optimizer.exclude, 0.0048 / 0.2, False),)
  return config
