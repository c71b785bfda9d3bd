"""SimCLR on CIFAR-10: ResNet-18 for one accelerator, or a network small enough for a laptop's CPU.

contrastive_jax train --config=cifar10/simclr --workdir=runs/cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/simclr:v2 ...    # a head of three layers
contrastive_jax train --config=cifar10/simclr:cpu ...
contrastive_jax eval --config=eval/all --workdir=runs/cifar10

The recipe of dkobak/simclr-cifar10 (published for 100 epochs: 85.6 % linear, 83.2 % kNN): SGD at
0.06 B/256 without warm-up, torchvision's views without blur and with grey in one of ten, pixels
not normalised, a head of two layers without batch norm, temperature 0.5. For 800 epochs and more
0.03 B/256 is better (1000: 91.9 % linear). Its network sees the views one by one, this one
together, as SimCLR's does. v2: SimCLR v2's head, whose first layer, "z.1", can be fine-tuned;
nothing else of SimCLR v2 suits 32 px.
"""

from contrastive_jax.configs import common


def get_config(size="gpu"):
  if size == "cpu":
    config = common.cifar10("simclr", "simclr_cifar", size)
    config.method.temperature = 0.2
    return config
  config = common.cifar10("simclr", "supcon_cifar", "gpu" if size == "v2" else size)
  config.augment.grey_p = 0.1
  config.augment.normalize = "none"
  config.method.temperature = 0.5
  config.method.head_width = 1024
  config.method.head_bn = size == "v2"
  config.method.head_layers = 3 if size == "v2" else 2
  config.model.padding = "torch"
  config.model.zero_gamma = False
  return config
