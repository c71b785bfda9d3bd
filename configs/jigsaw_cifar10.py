"""Jigsaw (Noroozi and Favaro, 2016) on CIFAR-10.

python train.py --config=configs/jigsaw_cifar10.py --workdir=runs/jigsaw \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/jigsaw_cifar10.py:cpu ...
"""

from configs import common


def get_config(size="gpu"):
  config = common.cifar10("jigsaw", "crop_only", size)
  config.augment.grey_p = 0.66
  config.augment.normalize = "cifar"  # as patches are standardised, whole images are, too
  if size == "cpu":
    config.method.embedding_size = 64
    config.method.head_width = 256
    config.method.shuffles = 4
  return config
