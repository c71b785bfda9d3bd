"""SigLIP's loss between views on CIFAR-10: ResNet-18 for one accelerator, or a small net for a CPU.

contrastive_jax train --config=cifar10/siglip --workdir=runs/siglip_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/siglip:cpu ...

No recipe for views of images is published. AdamW, since at first the negatives weigh as much as the
batch has rows and would throw the bias far off in plain gradient steps.
"""

from contrastive_jax.configs import common


def get_config(size="gpu"):
  config = common.cifar10("siglip", "simclr_cifar", size)
  config.optimizer.name = "adamw"
  config.optimizer.base_lr = 2e-3
  config.optimizer.lr_scaling = "none"
  config.optimizer.decay_exclude = "same"
  if size == "gpu":
    config.method.head_width = 1024
    config.optimizer.base_lr = 1e-3
    config.optimizer.warmup_epochs = 5.0
    config.optimizer.weight_decay = 1e-4
  return config
