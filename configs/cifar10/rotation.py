"""Rotation (Gidaris et al., 2018) on CIFAR-10.

contrastive_jax train --config=cifar10/rotation --workdir=runs/rotation \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/rotation:cpu ...

The released code's 200 epochs of batches of 128 images (512 views), SGD with Nesterov's momentum
at 0.1, multiplied by 0.2 at epochs 60, 120 and 160, weight decay 5e-4 on everything. Two things
differ: the network is ResNet-18 and not Network-in-Network, and views are large crops where theirs
are images moved by up to 4 px.
"""

from contrastive_jax.configs import common


def get_config(size="gpu"):
  config = common.cifar10("rotation", "crop_only", size)
  if size == "cpu":
    config.augment.min_area = 0.76
    config.batch_size = 64
    config.optimizer.base_lr = 0.6
    return config
  config.epochs = 200
  config.batch_size = 128
  config.augment.min_area = (28 / 32) ** 2
  config.augment.normalize = "cifar"
  config.model.padding = "torch"
  config.model.zero_gamma = False
  config.optimizer.nesterov = True
  config.optimizer.base_lr = 0.1
  config.optimizer.lr_scaling = "none"
  config.optimizer.lr_schedule = "step"
  config.optimizer.milestones = (60.0, 120.0, 160.0)
  config.optimizer.milestone_factor = 0.2
  return config
