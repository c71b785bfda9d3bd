"""InstDisc on ImageNet with ResNet-50 (Wu et al., CVPR 2018, released code).

contrastive_jax train --config=imagenet/instdisc --workdir=runs/instdisc \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md

200 epochs of SGD at 0.03 for a batch of 256, divided by ten at epoch 120 and every 40 after it;
weight decay on every parameter; temperature 0.07, 4096 noise rows. The paper's proximal term, which
its code lacks: --config.method.proximal=30. The softmax over the bank: --config.method.num_noise=0
"""

from contrastive_jax.configs import common


def get_config():
  config = common.imagenet("instdisc", "moco_v1", epochs=200, batch_size=256)
  config.model.padding = "torch"
  config.model.weight_init = "torch"
  config.model.zero_gamma = False
  config.optimizer.name = "sgd"
  config.optimizer.base_lr = 0.03
  config.optimizer.warmup_epochs = 0.0
  config.optimizer.lr_schedule = "step"
  config.optimizer.milestones = (120.0, 160.0)
  config.optimizer.weight_decay = 1e-4
  config.optimizer.decay_exclude = "none"
  return config
