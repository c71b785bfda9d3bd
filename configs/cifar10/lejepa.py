"""LeJEPA on CIFAR-10: ResNet-18 for one accelerator, or a network small enough for a CPU.

contrastive_jax train --config=cifar10/lejepa --workdir=runs/lejepa_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/lejepa --config.augment.num_views=4 ...
contrastive_jax train --config=cifar10/lejepa:cpu ...

No recipe for CIFAR-10 is published. Two views and none of small size; AdamW at 5e-4 with weight
decay 5e-4, which the authors advise for ResNets, and a tenth of the epochs of warm-up.
"""

from contrastive_jax.configs import common


def get_config(size="gpu"):
  config = common.cifar10("lejepa", "simclr_cifar", size)
  config.method.local_views = 0
  config.optimizer.name = "adamw"
  config.optimizer.lr_scaling = "none"
  config.optimizer.decay_exclude = "same"
  config.optimizer.final_fraction = 0.001
  if size == "cpu":
    config.method.head_width = 256
    config.method.embedding_size = 64
    config.batch_size = 64  # no negatives: four times as many steps
    config.optimizer.base_lr = 2e-3
    return config
  config.batch_size = 256
  config.optimizer.base_lr = 5e-4
  config.optimizer.warmup_epochs = 10.0
  return config
