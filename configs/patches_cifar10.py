"""Contrast between 2x2 patches of an image on CIFAR-10.

python train.py --config=configs/patches_cifar10.py --workdir=runs/patches_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/patches_cifar10.py:cpu ...
python eval.py --config=configs/eval/all.py --workdir=runs/patches_cifar10

Patches of 16 px, since one of 8 px (a grid of 3) shows little more than a colour. Four patches
leave three negatives in an image, so those of the other images in the batch are negatives, too;
without them: --config.method.cross_image=False
"""

from configs import common


def get_config(size="gpu"):
  config = common.cifar10("patches", "simclr_cifar", size)
  config.method.grid = 2
  config.method.cross_image = True
  config.augment.min_area = 0.8
  config.augment.grey_p = 0.66
  config.augment.normalize = "cifar"  # as patches are standardised, whole images are, too
  if size == "cpu":
    config.image_size_px = 48  # patches of 24 px, made of 16 px of the image
    config.method.min_area = 0.3
    config.batch_size = 64  # four times as many steps
    config.method.embedding_size = 64
    config.optimizer.base_lr = 0.6
  return config
