"""DINO on CIFAR-10: ResNet-18 with two views of 32 px, or a small network with small crops, too.

contrastive_jax train --config=cifar10/dino --workdir=runs/dino_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/dino:200 ...    # epochs; 1000 are published
contrastive_jax train --config=cifar10/dino:cpu ...
contrastive_jax eval --config=eval/all --workdir=runs/dino_cifar10

The paper has no CIFAR-10; its figures are in dino_imagenet.py. solo-learn's recipe (published:
89.5 %, online probe): asymmetric views without blur and no small crops, 4096 outputs, a teacher
that starts at 0.9995 and whose temperature rises for 50 epochs (as in their first scripts), LARC
at 0.3 with weight decay 1e-6. On the CPU batch norm in the head, small crops of 16 px and a
teacher that follows faster, since short runs take few steps.
"""

from contrastive_jax.configs import common


def get_config(size="1000"):
  if size == "cpu":
    config = common.cifar10("dino", "dino", size)
    config.augment.blur = 0.0
    config.augment.normalize = "cifar"
    config.augment.local_size_px = 16
    config.augment.local_min_area = 0.2
    config.augment.local_max_area = 0.6
    config.augment.solarize = 0.0
    config.method.local_views = 2
    config.method.outputs = 512
    config.method.momentum = 0.97
    config.method.head_bn = True
    config.method.teacher_warmup_epochs = 0.0
    config.method.teacher_temperature = 0.04  # at 0.07 the codes stay uniform, at 0.02 one wins
    config.method.freeze_epochs = 0.0
    config.batch_size = 64  # no negatives: four times as many steps
    config.optimizer.base_lr = 0.6
    config.method.head_width = 128
    config.method.embedding_size = 64
    return config
  config = common.cifar10_solo("dino", "solo_cifar_asym", size)
  config.method.local_views = 0
  config.method.outputs = 4096
  config.method.momentum = 0.9995
  config.method.teacher_warmup_epochs = 50.0
  config.optimizer.base_lr = 0.3
  config.optimizer.weight_decay = 1e-6
  return config
