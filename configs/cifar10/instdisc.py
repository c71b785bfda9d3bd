"""InstDisc on CIFAR-10: ResNet-18 for one accelerator, or one small enough for a laptop's CPU.

contrastive_jax train --config=cifar10/instdisc --workdir=runs/instdisc \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/instdisc:cpu ...
contrastive_jax eval --config=eval/all --workdir=runs/instdisc

The released code (Wu et al., CVPR 2018; the paper has 80.4 % kNN): temperature 0.1, 4096 noise
rows, 200 epochs of batches of 128, SGD at 0.03, divided by ten at epoch 80 and every 40 after it,
weight decay 5e-4 on everything. On the CPU the softmax over the whole bank, which is small there.
Each image is seen once an epoch, not twice.
"""

from contrastive_jax.configs import common


def get_config(size="gpu"):
  config = common.cifar10("instdisc", "moco_v1", size)
  config.augment.normalize = "cifar"
  config.method.temperature = 0.1
  config.optimizer.base_lr = 0.03  # the published rate: rows of the bank are an epoch old
  if size == "cpu":
    config.augment.recipe = "moco_v2"  # moco_v1 turns the hue of every image by up to 0.4
    config.augment.blur = 0.0
    config.batch_size = 64
    config.method.embedding_size = 64
    config.method.num_noise = 0
    config.method.start = "empty"  # in few epochs random rows are all that is learnt
    config.optimizer.base_lr = 0.6
    return config
  config.epochs = 200
  config.batch_size = 128
  config.model.padding = "torch"
  config.model.zero_gamma = False
  config.optimizer.lr_scaling = "none"
  config.optimizer.lr_schedule = "step"
  config.optimizer.milestones = (80.0, 120.0, 160.0)
  return config
