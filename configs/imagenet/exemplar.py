"""Exemplar (Dosovitskiy et al., 2014) on ImageNet with ResNet-50.

contrastive_jax train --config=imagenet/exemplar --workdir=runs/exemplar \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md

The schedule of Kolesnikov et al. (2019). Two things differ from their code: it standardises every
crop by itself, here mean and deviation are those of ImageNet; and its crops have distorted colours,
here none but grey. Probe an earlier block too: --config.layers=block3,h
"""

from contrastive_jax.configs import common


def get_config():
  config = common.pretext(common.imagenet("exemplar", "crop_only", epochs=35, batch_size=64))
  config.augment.min_area = 0.05
  config.augment.grey_p = 0.66
  config.augment.normalize = "imagenet"
  return config
