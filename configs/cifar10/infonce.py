"""InfoNCE between views on CIFAR-10: ResNet-18 for one accelerator, or a small net for a CPU.

contrastive_jax train --config=cifar10/infonce --workdir=runs/infonce_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/infonce:cpu ...

Plain SGD and the views of the other methods here; E-SSL's CIFAR-10 code has temperature 0.5.
"""

from contrastive_jax.configs import common


def get_config(size="gpu"):
  config = common.cifar10("infonce", "simclr_cifar", size)
  config.method.temperature = 0.5
  if size == "cpu":
    config.method.temperature = 0.2
    config.method.head_layers = 2
    config.method.head_width = 64
    config.method.embedding_size = 64
  return config
