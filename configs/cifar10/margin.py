"""The margin loss on CIFAR-10: ResNet-18 for one accelerator, or a small net for a CPU.

contrastive_jax train --config=cifar10/margin --workdir=runs/margin_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/margin:cpu ...

Plain SGD as the other methods here, with semi-hard mining, which SimCLR found better. On the CPU
smaller batches and a higher rate: few triplets of a batch have a gradient.
"""

from contrastive_jax.configs import common


def get_config(size="gpu"):
  config = common.cifar10("margin", "simclr_cifar", size)
  config.method.semi_hard = True
  if size == "gpu":
    config.method.head_width = 1024
  else:
    config.batch_size = 128
    config.optimizer.base_lr = 0.6
  return config
