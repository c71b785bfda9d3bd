"""NT-Logistic on CIFAR-10: ResNet-18 for one accelerator, or a small net for a CPU.

contrastive_jax train --config=cifar10/nt_logistic --workdir=runs/nt_logistic_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/nt_logistic:cpu ...

Plain SGD as the other methods here; temperature 0.5 is SimCLR's for CIFAR-10.
"""

from contrastive_jax.configs import common


def get_config(size="gpu"):
  config = common.cifar10("nt_logistic", "simclr_cifar", size)
  config.method.temperature = 0.5
  if size == "gpu":
    config.method.head_width = 1024
  return config
