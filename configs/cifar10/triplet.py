"""The triplet loss on CIFAR-10: ResNet-18 for one accelerator, or a small net for a CPU.

contrastive_jax train --config=cifar10/triplet --workdir=runs/triplet_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/triplet:cpu ...

Plain SGD as the other methods here, with FaceNet's margin and semi-hard mining.
"""

from contrastive_jax.configs import common


def get_config(size="gpu"):
  config = common.cifar10("triplet", "simclr_cifar", size)
  if size == "gpu":
    config.method.head_width = 1024
  return config
