"""SimSiam on ImageNet with ResNet-50 (Chen and He, CVPR 2021, section 3 and released code).

contrastive_jax train --config=imagenet/simsiam --workdir=runs/simsiam \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=imagenet/simsiam:800 ...    # epochs: 100, 200, 400, 800

Batch 512, SGD at 0.05 B/256, a cosine that moves once an epoch, no warm-up; weight decay on every
parameter; the predictor's rate stays at the peak.
"""

from contrastive_jax.configs import common


def get_config(epochs="100"):
  config = common.imagenet("simsiam", "simsiam", epochs=int(epochs), batch_size=512)
  config.model.padding = "torch"
  config.model.weight_init = "torch"
  config.optimizer.name = "sgd"
  config.optimizer.base_lr = 0.05
  config.optimizer.warmup_epochs = 0.0
  config.optimizer.per_epoch = True
  config.optimizer.weight_decay = 1e-4
  config.optimizer.decay_exclude = "none"
  config.optimizer.lr_rules = (("^p/", 1.0, True),)
  return config
