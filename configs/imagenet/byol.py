"""BYOL on ImageNet with ResNet-50 (Grill et al., NeurIPS 2020, section 3.3 and released code).

contrastive_jax train --config=imagenet/byol --workdir=runs/byol \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=imagenet/byol:1000 ...    # epochs: 40, 100, 300 or 1000

Batch 4096, LARS with the rate outside the momentum, ten epochs of warm-up and a cosine; rate, decay
and the target's momentum depend on the length.
"""

from contrastive_jax.configs import common

# epochs: base rate (times B/256), weight decay, tau_base
LENGTHS = {
  "40": (0.45, 1e-6, 0.97),
  "100": (0.45, 1e-6, 0.99),
  "300": (0.3, 1e-6, 0.99),
  "1000": (0.2, 1.5e-6, 0.996),
}


def get_config(epochs="100"):
  if epochs not in LENGTHS:
    raise ValueError(f'epochs "{epochs}": published are {", ".join(LENGTHS)}')
  base_lr, weight_decay, momentum = LENGTHS[epochs]
  config = common.imagenet("byol", "byol", epochs=int(epochs), batch_size=4096)
  config.method.momentum = momentum
  config.model.weight_init = "haiku"
  config.optimizer.name = "lars_outside"
  config.optimizer.base_lr = base_lr
  config.optimizer.weight_decay = weight_decay
  return config
