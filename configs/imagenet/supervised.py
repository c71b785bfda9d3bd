"""Supervised ResNet-50 on ImageNet, the yardstick of the other methods.

contrastive_jax train --config=imagenet/supervised --workdir=runs/supervised \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=imagenet/supervised --config.augment.recipe=simclr ...

The usual recipe, recalled and not read again (Goyal et al., 2017, with a cosine): crops and flips,
SGD at 0.1 B/256, momentum 0.9, five epochs of warm-up, weight decay 1e-4 on all weights but biases
and batch norm, 90 epochs, batches of 1024. For SimCLR's tables choose its views and their strength:
  --config.augment.recipe=simclr --config.augment.color_strength=0.5
"""

from contrastive_jax.configs import common


def get_config(epochs="90"):
  config = common.imagenet("supervised", "crop_only", epochs=int(epochs), batch_size=1024)
  config.method.num_classes = 1000
  config.model.padding = "torch"
  config.model.weight_init = "torch"
  config.augment.normalize = "imagenet"
  config.optimizer.name = "sgd"
  config.optimizer.base_lr = 0.1
  config.optimizer.warmup_epochs = 5.0
  config.optimizer.weight_decay = 1e-4
  return config
