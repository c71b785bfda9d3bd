"""Relative patch location (Doersch et al., 2015) on ImageNet with ResNet-50.

contrastive_jax train --config=imagenet/relative_patch --workdir=runs/relative_patch \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md

The schedule of Kolesnikov et al. (2019). Probe an earlier block too: --config.layers=block3,h
"""

from contrastive_jax.configs import common


def get_config():
  config = common.pretext(common.imagenet("relative_patch", "crop_only", epochs=35, batch_size=256))
  config.image_size_px = 255  # cells of 85 px, patches of 64
  config.augment.min_area = 0.76  # 255 px of 292
  config.augment.grey_p = 0.66
  config.augment.normalize = "imagenet"  # as patches are standardised, whole images are, too
  return config
