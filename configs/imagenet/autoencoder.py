"""Autoencoder on ImageNet with ResNet-50.

contrastive_jax train --config=imagenet/autoencoder --workdir=runs/autoencoder \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md

The schedule of Kolesnikov et al. (2019). Probe an earlier block too: --config.layers=block3,h
"""

from contrastive_jax.configs import common


def get_config():
  config = common.pretext(common.imagenet("autoencoder", "crop_only", epochs=35, batch_size=256))
  return config
