"""MoCo v2+ on CIFAR-10: ResNet-18 for one accelerator, or a small network for a laptop's CPU.

contrastive_jax train --config=cifar10/moco --workdir=runs/moco \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/moco:200 ...    # epochs; 1000 are published
contrastive_jax train --config=cifar10/moco:v1 ...
contrastive_jax train --config=cifar10/moco:cpu ...
contrastive_jax eval --config=eval/all --workdir=runs/moco

solo-learn's recipe (published: 92.9 %, online probe): both views ask for one another, views of
MoCo v2 with crops from 0.08, 32,768 keys, a momentum from 0.99 to 0.999, a head of 2048 and 256,
SGD at 0.3 with weight decay 1e-4.

v1: one view asks, a linear head, temperature 0.07, jittered views without blur, the rate cut at
120 and 160 of 200 epochs. Fewer keys and a quicker key network than ImageNet's, since a run is
short; these (4096 keys, momentum 0.99, 8 groups of batch norm, batches of 512 at 0.06) are
recalled from the authors' CIFAR-10 demo. On the CPU v2 in that spirit.
"""

from contrastive_jax.configs import common


def get_config(size="1000"):
  if size == "cpu":
    config = common.cifar10("moco", "moco_v2", size)
    config.augment.blur = 0.0
    config.augment.normalize = "cifar"
    config.method.momentum = 0.99
    config.method.temperature = 0.2
    config.method.embedding_size = 64
    config.method.queue_size = 2048
    config.model.bn_groups = 4
    return config
  if size == "v1":
    return _v1()
  config = common.plain_sgd(common.cifar10_solo("moco", "solo_cifar", size))
  config.augment.color_strength = 0.5
  config.method.symmetric = True
  config.method.head_width = 2048
  config.method.embedding_size = 256
  config.method.queue_size = 32_768
  config.method.momentum = 0.99
  config.method.final_momentum = 0.999
  config.optimizer.base_lr = 0.3
  config.optimizer.weight_decay = 1e-4
  return config


def _v1():
  config = common.cifar10("moco", "moco_v1")
  config.epochs = 200
  config.augment.normalize = "cifar"
  config.method.head = "linear"
  config.method.temperature = 0.07
  config.method.queue_size = 4096
  config.method.momentum = 0.99
  config.model.zero_gamma = False
  config.model.bn_groups = 8
  config.optimizer.base_lr = 0.03
  config.optimizer.lr_schedule = "step"
  config.optimizer.milestones = (120.0, 160.0)
  return config
