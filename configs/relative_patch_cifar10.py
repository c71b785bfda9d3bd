"""Relative patch location (Doersch et al., 2015) on CIFAR-10.

python train.py --config=configs/relative_patch_cifar10.py --workdir=runs/relative_patch \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/relative_patch_cifar10.py:cpu ...
"""

from configs import common


def get_config(size="gpu"):
  config = common.cifar10("relative_patch", "crop_only", size)
  config.augment.grey_p = 0.66
  config.augment.normalize = "cifar"  # as patches are standardised, whole images are, too
  if size == "cpu":
    config.method.embedding_size = 64
  return config
