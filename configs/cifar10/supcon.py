"""SupCon on CIFAR-10: ResNet-18 for one accelerator, or a network small enough for a laptop's CPU.

contrastive_jax train --config=cifar10/supcon --workdir=runs/supcon_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/supcon:200 ...    # epochs; 1000 are published
contrastive_jax train --config=cifar10/supcon:cpu ...
contrastive_jax eval --config=eval/all --workdir=runs/supcon_cifar10

solo-learn's recipe (published: 93.8 %, online probe): SimCLR's views with blur, temperature 0.2
and no factor of the loss, a head of 2048 and 256, SGD at 0.4 with weight decay 1e-5. The run that
the paper's code publishes (ResNet-50, 96.0 %):
  --config.augment.recipe=supcon_cifar --config.method.temperature=0.1
  --config.method.base_temperature=0.07 --config.method.embedding_size=128
  --config.model.name=resnet50 --config.batch_size=1024 --config.optimizer.lr_scaling=none
  --config.optimizer.base_lr=0.5 --config.optimizer.start_fraction=0.02
  --config.optimizer.weight_decay=1e-4
"""

from contrastive_jax.configs import common


def get_config(size="1000"):
  if size == "cpu":
    config = common.cifar10("supcon", "supcon_cifar", size)
    return config
  config = common.cifar10_solo("supcon", "solo_cifar", size)
  config = common.plain_sgd(config)
  config.method.temperature = 0.2
  config.method.base_temperature = 0.2
  config.method.head_width = 2048
  config.method.embedding_size = 256
  config.optimizer.base_lr = 0.4
  config.optimizer.weight_decay = 1e-5
  return config
