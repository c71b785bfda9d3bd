"""Supervised learning on CIFAR-10, the yardstick: ResNet-18, or a small net for a laptop's CPU.

contrastive_jax train --config=cifar10/supervised --workdir=runs/supervised_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/supervised:cpu ...

Network, optimiser and batches as the other methods here. The views are crops and flips; for those
of the other methods: --config.augment.recipe=simclr_cifar
"""

from contrastive_jax.configs import common


def get_config(size="gpu"):
  return common.cifar10("supervised", "crop_only", size)
