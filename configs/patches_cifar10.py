"""Contrast between 3x3 patches of one image on CIFAR-10.

python train.py --config=configs/patches_cifar10.py --workdir=runs/patches_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/patches_cifar10.py:cpu ...
python eval.py --config=configs/eval/all.py --workdir=runs/patches_cifar10

Patches of 8 px out of crops of 32 px; crops are large, so that a patch shows more than a colour.
Negatives from other images as well: --config.method.cross_image=True
"""

from configs import common


def get_config(size="gpu"):
  config = common.cifar10("patches", "simclr_cifar", size)
  config.augment.min_area = 0.6
  config.augment.grey_p = 0.66
  config.augment.normalize = "cifar"  # as patches are standardised, whole images are, too
  if size == "cpu":
    config.method.embedding_size = 64
  return config
