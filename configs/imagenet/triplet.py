"""The triplet loss on ImageNet with ResNet-50, in the frame of SimCLR.

contrastive_jax train --config=imagenet/triplet --workdir=runs/triplet \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md

FaceNet's loss (Schroff et al., 2015) on SimCLR's frame: margin 0.2 and semi-hard mining are the
paper's; views, network, batch and optimiser are those of SimCLR at 100 epochs.
"""

from contrastive_jax.configs import common


def get_config(epochs="100"):
  config = common.imagenet("triplet", "simclr", epochs=int(epochs), batch_size=4096)
  config.model.padding = "simclr"
  return config
