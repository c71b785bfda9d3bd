"""Barlow Twins on CIFAR-10: ResNet-18 for one accelerator, or a small network for a laptop's CPU.

contrastive_jax train --config=cifar10/barlow --workdir=runs/barlow_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/barlow:200 ...    # epochs; 1000 are published
contrastive_jax train --config=cifar10/barlow:cpu ...
contrastive_jax eval --config=eval/all --workdir=runs/barlow_cifar10

solo-learn's recipe (published: 92.1 %, online probe): asymmetric views without blur, three layers
of 2048, a tenth of the loss, LARC at 0.3 with weight decay 1e-4. On the CPU AdamW, which does not
see that the loss is a sum over D^2 terms and its gradient grows with D.
"""

from contrastive_jax.configs import common


def get_config(size="1000"):
  if size == "cpu":
    config = common.cifar10("barlow", "simclr_cifar", size)
    config.method.head_layers = 2
    config.method.head_width = 256
    config.method.embedding_size = 256
    config.batch_size = 64  # no negatives: four times as many steps
    config.optimizer.name = "adamw"
    config.optimizer.base_lr = 2e-3
    config.optimizer.lr_scaling = "none"
    config.optimizer.decay_exclude = "same"
    return config
  config = common.cifar10_solo("barlow", "solo_cifar_asym", size)
  config.method.loss_factor = 0.1
  config.method.head_width = 2048
  config.method.embedding_size = 2048
  config.optimizer.base_lr = 0.3
  config.optimizer.weight_decay = 1e-4
  return config
