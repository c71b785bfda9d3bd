"""DCL on CIFAR-10: ResNet-18 for one accelerator, or a network small enough for a laptop's CPU.

contrastive_jax train --config=cifar10/dcl --workdir=runs/dcl_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/dcl:cpu ...

It is made for small batches: try --config.batch_size=32 to 256. Temperature 0.1 is the paper's.
"""

from contrastive_jax.configs import common


def get_config(size="gpu"):
  config = common.cifar10("dcl", "simclr_cifar", size)
  if size == "gpu":
    config.batch_size = 256
    config.method.head_width = 1024
  return config
