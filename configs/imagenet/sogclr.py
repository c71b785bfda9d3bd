"""SogCLR on ImageNet with ResNet-50 and small batches (Yuan et al., 2022; the released code).

contrastive_jax train --config=imagenet/sogclr --workdir=runs/sogclr \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=imagenet/sogclr:100 ...    # epochs; 800 are published

Their first code is SimCLR's with another loss: its views, network and head of two layers, LARS at
0.075 sqrt(B) with weight decay 1e-6, ten epochs of warm-up, temperature 0.1 and gamma 0.9; batches
of 256 for 800 epochs. Gamma is worth a search (0.1 to 0.99, they say).
"""

from contrastive_jax.configs import common


def get_config(epochs="800"):
  config = common.imagenet("sogclr", "simclr", epochs=int(epochs), batch_size=256)
  config.method.loss_factor = "code"
  config.model.padding = "simclr"
  config.optimizer.lr_scaling = "sqrt"
  config.optimizer.base_lr = 0.075
  return config
