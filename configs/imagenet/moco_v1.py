"""MoCo v1 on ImageNet with ResNet-50 (He et al., CVPR 2020, section 4).

contrastive_jax train --config=imagenet/moco_v1 --workdir=runs/moco_v1 \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md

200 epochs of SGD at 0.03 for a batch of 256, divided by ten at epochs 120 and 160; weight decay on
every parameter; linear head, temperature 0.07, 65,536 keys. Eight groups of batch norm, shuffled
for the keys, are what the paper's eight GPUs compute, on any hardware.
"""

from contrastive_jax.configs import common


def get_config():
  config = common.imagenet("moco", "moco_v1", epochs=200, batch_size=256)
  config.method.head = "linear"
  config.method.temperature = 0.07
  config.model.padding = "torch"
  config.model.weight_init = "torch"
  config.model.zero_gamma = False
  config.model.bn_groups = 8
  config.optimizer.name = "sgd"
  config.optimizer.base_lr = 0.03
  config.optimizer.warmup_epochs = 0.0
  config.optimizer.lr_schedule = "step"
  config.optimizer.milestones = (120.0, 160.0)
  config.optimizer.weight_decay = 1e-4
  config.optimizer.decay_exclude = "none"
  return config
