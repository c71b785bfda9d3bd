"""SogCLR on CIFAR-10: ResNet-18 for one accelerator, or a network small enough for a CPU.

contrastive_jax train --config=cifar10/sogclr --workdir=runs/sogclr_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/sogclr:cpu ...

It is made for small batches: try --config.batch_size=32 to 256. Temperature 0.3 is that of the
authors' code for CIFAR-10; the rest is DCL's frame, not theirs (ResNet-50, LARS, batches of 64).
"""

from contrastive_jax.configs import common


def get_config(size="gpu"):
  config = common.cifar10("sogclr", "simclr_cifar", size)
  config.method.temperature = 0.3
  if size == "gpu":
    config.batch_size = 256
    config.method.head_width = 1024
  return config
