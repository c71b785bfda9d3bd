"""LooC on CIFAR-10, keeping rotation and colour.

contrastive_jax train --config=cifar10/looc --workdir=runs/looc_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/looc:cpu ...
contrastive_jax eval --config=eval/all --workdir=runs/looc_cifar10    # h: LooC, z: LooC++

The paper has no CIFAR-10; its figures are in looc_imagenet.py. Short runs take few steps, so the
key network follows faster here. On the CPU the batch's other keys are the negatives: a queue would
hold those of a fifth of the run.
"""

from contrastive_jax.configs import common


def get_config(size="gpu"):
  config = common.cifar10("looc", "simclr_cifar", size)
  config.augment.rotate = 1.0
  config.method.momentum = 0.99
  if size == "cpu":
    config.method.queue_size = 0
    config.method.embedding_size = 64
    config.batch_size = 64  # four times as many steps
    config.optimizer.base_lr = 0.6
  return config
