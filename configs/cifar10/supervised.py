"""Supervised learning on CIFAR-10, the yardstick: ResNet-18, or a small net for a laptop's CPU.

python train.py --config=configs/cifar10/supervised.py --workdir=runs/supervised_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/cifar10/supervised.py:cpu ...

Network, optimiser and batches as the other methods here. The views are crops and flips; for those
of the other methods: --config.augment.recipe=simclr_cifar
"""

from contrastive_jax.configs import common


def get_config(size="gpu"):
  return common.cifar10("supervised", "crop_only", size)
