"""BYOL on CIFAR-10: ResNet-18 for one accelerator, or a network small enough for a laptop's CPU.

contrastive_jax train --config=cifar10/byol --workdir=runs/byol \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/byol:200 ...    # epochs; 1000 are published
contrastive_jax train --config=cifar10/byol:cpu ...
contrastive_jax eval --config=eval/all --workdir=runs/byol

solo-learn's recipe (published: 92.6 %, online probe): BYOL's views without blur, its heads, LARC
at 1.0 with weight decay 1e-5, a target momentum that starts at 0.99.
--config.method.predictor=False shows the collapse.
"""

from contrastive_jax.configs import common


def get_config(size="1000"):
  if size == "cpu":
    config = common.cifar10("byol", "solo_cifar_asym", size)
    config.method.head_width = 256
    config.method.embedding_size = 64
    config.method.predictor_width = 256
    config.method.momentum = 0.97
    config.batch_size = 64  # no negatives: four times as many steps
    config.optimizer.base_lr = 0.6
    config.optimizer.weight_decay = 5e-4
    return config
  config = common.cifar10_solo("byol", "solo_cifar_asym", size)
  config.method.momentum = 0.99
  config.optimizer.base_lr = 1.0
  config.optimizer.weight_decay = 1e-5
  return config
