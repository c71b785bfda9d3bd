"""MoCo v3 on ImageNet with ResNet-50 (Chen, Xie and He, ICCV 2021, released code).

contrastive_jax train --config=imagenet/moco_v3 --workdir=runs/moco_v3 \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=imagenet/moco_v3:1000 ...    # epochs: 100, 300 or 1000

Batch 4096, LARS with the rate outside the momentum, ten epochs of warm-up and a cosine; rate, decay
and the key network's momentum depend on the length. Temperature 1.
"""

from contrastive_jax.configs import common

# epochs: base rate (times B/256), weight decay, m
LENGTHS = {
  "100": (0.6, 1e-6, 0.99),
  "300": (0.3, 1e-6, 0.99),
  "1000": (0.3, 1.5e-6, 0.996),
}


def get_config(epochs="100"):
  if epochs not in LENGTHS:
    raise ValueError(f'epochs "{epochs}": published are {", ".join(LENGTHS)}')
  base_lr, weight_decay, momentum = LENGTHS[epochs]
  config = common.imagenet("moco_v3", "moco_v3", epochs=int(epochs), batch_size=4096)
  config.method.momentum = momentum
  config.model.padding = "torch"
  config.model.weight_init = "torch"
  config.optimizer.name = "lars_outside"
  config.optimizer.base_lr = base_lr
  config.optimizer.weight_decay = weight_decay
  return config
