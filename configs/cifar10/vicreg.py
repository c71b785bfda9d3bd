"""VICReg on CIFAR-10: ResNet-18 for one accelerator, or a small network for a laptop's CPU.

contrastive_jax train --config=cifar10/vicreg --workdir=runs/vicreg_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/vicreg:200 ...    # epochs; 1000 are published
contrastive_jax train --config=cifar10/vicreg:cpu ...
contrastive_jax eval --config=eval/all --workdir=runs/vicreg_cifar10

solo-learn's recipe (published: 92.1 %, online probe): crops from a fifth, solarisation of one view
in ten, no blur; three layers of 2048; LARC at 0.3 with weight decay 1e-4; the variances of the two
views added, not averaged, hence twice the weight. On the CPU AdamW, since the loss's weights of 25
suit no plain gradient step.
"""

from contrastive_jax.configs import common


def get_config(size="1000"):
  if size == "cpu":
    config = common.cifar10("vicreg", "simclr_cifar", size)
    config.method.head_layers = 2
    config.method.head_width = 256
    config.method.embedding_size = 256
    config.batch_size = 64  # no negatives: four times as many steps
    config.optimizer.name = "adamw"
    config.optimizer.base_lr = 2e-3
    config.optimizer.lr_scaling = "none"
    config.optimizer.decay_exclude = "same"
    return config
  config = common.cifar10_solo("vicreg", "solo_cifar_asym", size)
  config.augment.min_area = 0.2
  config.augment.solarize = 0.1
  config.method.variance_weight = 50.0
  config.method.head_width = 2048
  config.method.embedding_size = 2048
  config.optimizer.base_lr = 0.3
  config.optimizer.weight_decay = 1e-4
  return config
