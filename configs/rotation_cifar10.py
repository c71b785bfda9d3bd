"""Rotation (Gidaris et al., 2018) on CIFAR-10.

python train.py --config=configs/rotation_cifar10.py --workdir=runs/rotation \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/rotation_cifar10.py:cpu ...
"""

from configs import common


def get_config(size="gpu"):
  config = common.cifar10("rotation", "crop_only", size)
  config.augment.min_area = 0.76
  if size == "cpu":
    config.batch_size = 64
    config.optimizer.base_lr = 0.6
  return config
