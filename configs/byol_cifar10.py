"""BYOL on CIFAR-10: ResNet-18 for one accelerator, or a network small enough for a laptop's CPU.

python train.py --config=configs/byol_cifar10.py --workdir=runs/byol \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/byol_cifar10.py:cpu ...
python eval.py --config=configs/eval/all.py --workdir=runs/byol

BYOL's views without blur (as solo-learn has them for CIFAR) and its heads; plain SGD as the other
CIFAR-10 configs, a target momentum of 0.99 for runs of a few thousand steps.
--config.method.predictor=False shows the collapse.
"""

from configs import common


def get_config(size="gpu"):
  config = common.cifar10("byol", "solo_cifar_asym", size)
  config.method.momentum = 0.99
  if size == "cpu":
    config.method.head_width = 256
    config.method.embedding_size = 64
    config.method.predictor_width = 256
    config.method.momentum = 0.97
  return config
