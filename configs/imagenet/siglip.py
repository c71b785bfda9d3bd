"""SigLIP's loss between views on ImageNet with ResNet-50 (Zhai et al., 2023, for the loss).

contrastive_jax train --config=imagenet/siglip --workdir=runs/siglip \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=imagenet/siglip:300 ...    # epochs

The paper trains with images and texts; a recipe for two views of images is not published. Views,
network and head are SimCLR's. The optimiser is of the paper's kind (its figures recalled): a rate
of 1e-3, weight decay 1e-4 and a second moment of 0.95, here in AdamW. Not tuned.
"""

from contrastive_jax.configs import common


def get_config(epochs="100"):
  config = common.imagenet("siglip", "simclr", epochs=int(epochs), batch_size=1024)
  config.model.padding = "simclr"
  config.optimizer.name = "adamw"
  config.optimizer.base_lr = 1e-3
  config.optimizer.lr_scaling = "none"
  config.optimizer.weight_decay = 1e-4
  config.optimizer.b2 = 0.95
  return config
