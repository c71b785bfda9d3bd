"""Rotation (Gidaris et al., 2018) on ImageNet with ResNet-50.

contrastive_jax train --config=imagenet/rotation --workdir=runs/rotation \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md

The schedule of Kolesnikov et al. (2019). Views are Gidaris et al.'s: crops of 224 px of 256 and
flips; here such a crop is not always square (3/4 to 4/3). The code of Kolesnikov et al. distorts
colours, too, and crops down to a twentieth: --config.augment.min_area=0.05
--config.augment.max_area=1. Probe an earlier block too: --config.layers=block3,h
"""

from contrastive_jax.configs import common


def get_config():
  config = common.pretext(common.imagenet("rotation", "crop_only", epochs=35, batch_size=256))
  config.augment.min_area = config.augment.max_area = (224 / 256) ** 2
  return config
