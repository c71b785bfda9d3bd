"""Contrast between 2x2 patches of an image on CIFAR-10.

contrastive_jax train --config=cifar10/patches --workdir=runs/patches_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/patches:feature_map ...    # points in a map
contrastive_jax train --config=cifar10/patches:cpu ...
contrastive_jax eval --config=eval/all --workdir=runs/patches_cifar10

Patches of 16 px, since one of 8 px (a grid of 3) shows little more than a colour. Four patches
leave three negatives in an image, so those of the other images in the batch are negatives, too;
without them: --config.method.cross_image=False

The form feature_map has PatchNCE's head, temperature and stopped keys, as on ImageNet, and reads
the third block's map of 8 x 8 at 4 x 4 points.
"""

from contrastive_jax.configs import common


def get_config(size="gpu"):
  form = "feature_map" if size == "feature_map" else "patches"
  config = common.cifar10("patches", "simclr_cifar", "gpu" if size == form else size)
  config.method.form = form
  config.method.grid = 2
  config.method.cross_image = True
  config.augment.min_area = 0.8
  config.augment.grey_p = 0.66
  config.augment.normalize = "cifar"  # as patches are standardised, whole images are, too
  if form == "feature_map":
    config.method.layer = "block3"
    config.method.grid = 4
    config.method.head_width = 256
    config.method.embedding_size = 256
    config.method.temperature = 0.07
    config.method.stop_keys = True
  if size == "cpu":
    config.image_size_px = 48  # patches of 24 px, made of 16 px of the image
    config.method.min_area = 0.3
    config.batch_size = 64  # four times as many steps
    config.method.embedding_size = 64
    config.optimizer.base_lr = 0.6
  return config
