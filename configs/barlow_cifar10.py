"""Barlow Twins on CIFAR-10: ResNet-18 for one accelerator, or a small network for a laptop's CPU.

python train.py --config=configs/barlow_cifar10.py --workdir=runs/barlow_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/barlow_cifar10.py:cpu ...

LARS, since the loss is a sum over D^2 terms and its gradient grows with D; the rates of biases and
batch norm are cut as on ImageNet. The rate itself is SimCLR's for LARS on CIFAR-10 and not tuned.
"""

from configs import common
from contrastive_jax.optim.builder import BIAS_OR_SCALE


def get_config(size="gpu"):
  config = common.cifar10("barlow", "simclr_cifar", size)
  width = {"gpu": 2048, "cpu": 256}[size]
  config.method.head_layers = 3 if size == "gpu" else 2
  config.method.head_width = width
  config.method.embedding_size = width
  config.optimizer.name = "lars_outside"
  config.optimizer.base_lr = 1.0
  config.optimizer.decay_exclude = "same"
  config.optimizer.lr_rules = ((BIAS_OR_SCALE, 0.0048 / 0.2, False),)
  return config
