"""MoCo v2 on ImageNet with ResNet-50 (Chen et al., 2020, arXiv:2003.04297).

contrastive_jax train --config=imagenet/moco_v2 --workdir=runs/moco_v2 \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=imagenet/moco_v2:800 ...    # epochs; 200 and 800 are published

SGD at 0.03 for a batch of 256, a cosine that moves once an epoch, no warm-up; weight decay on every
parameter; head of two layers, temperature 0.2, 65,536 keys. Eight groups of batch norm, shuffled
for the keys, are what the authors' eight GPUs compute, on any hardware.
"""

from contrastive_jax.configs import common


def get_config(epochs="200"):
  config = common.imagenet("moco", "moco_v2", epochs=int(epochs), batch_size=256)
  config.model.padding = "torch"
  config.model.weight_init = "torch"
  config.model.zero_gamma = False
  config.model.bn_groups = 8
  config.optimizer.name = "sgd"
  config.optimizer.base_lr = 0.03
  config.optimizer.warmup_epochs = 0.0
  config.optimizer.per_epoch = True
  config.optimizer.weight_decay = 1e-4
  config.optimizer.decay_exclude = "none"
  return config
