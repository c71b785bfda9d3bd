"""SwAV on CIFAR-10: ResNet-18 with two views of 32 px, or a small network with small crops, too.

contrastive_jax train --config=cifar10/swav --workdir=runs/swav_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/swav:200 ...    # epochs; 1000 are published
contrastive_jax train --config=cifar10/swav:cpu ...
contrastive_jax eval --config=eval/all --workdir=runs/swav_cifar10

The paper has no CIFAR-10; its figures are in swav_imagenet.py. solo-learn's recipe (published:
89.2 %, online probe): SimCLR's views with blur and no small crops, 3000 prototypes that stand
still for two epochs, 3840 earlier embeddings from epoch 50, LARC at 0.6 with weight decay 1e-6.

On the CPU harder codes (epsilon 0.01), prototypes that are fewer than a batch and free at once,
large small crops of 16 px and a larger rate: with the paper's 0.05 a small untrained network's
codes are all but uniform, and so is what it learns.
"""

from contrastive_jax.configs import common


def get_config(size="1000"):
  if size == "cpu":
    config = common.cifar10("swav", "swav", size)
    config.augment.blur = 0.0
    config.augment.normalize = "cifar"
    config.augment.local_size_px = 16
    config.augment.local_min_area = 0.2
    config.augment.local_max_area = 0.6
    config.method.local_views = 2
    config.method.prototypes = 128
    config.method.freeze_steps = 0
    config.method.epsilon = 0.01
    config.method.head_width = 128
    config.method.embedding_size = 64
    config.optimizer.base_lr = 1.0
    return config
  config = common.cifar10_solo("swav", "solo_cifar", size)
  config.method.local_views = 0
  config.method.freeze_steps = 2 * (50_000 // 256)
  config.method.queue_size = 3840
  config.method.queue_from_epoch = 50
  config.optimizer.base_lr = 0.6
  config.optimizer.weight_decay = 1e-6
  return config
