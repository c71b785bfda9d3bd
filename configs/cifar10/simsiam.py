"""SimSiam on CIFAR-10: ResNet-18 for one accelerator, or a network small enough for a laptop's CPU.

contrastive_jax train --config=cifar10/simsiam --workdir=runs/simsiam \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/simsiam:200 ...    # epochs; 1000 are published
contrastive_jax train --config=cifar10/simsiam:paper ...
contrastive_jax train --config=cifar10/simsiam:cpu ...
contrastive_jax eval --config=eval/all --workdir=runs/simsiam

solo-learn's recipe (published: 90.5 %, online probe): views of MoCo v2 with crops from 0.08, SGD
at 0.5 with weight decay 1e-5, the predictor at a constant rate. The paper's appendix D (91.8 %):
800 epochs of batches of 512, 0.03 B/256, weight decay 5e-4, crops from 0.2, no blur, a projector
of two layers. --config.method.stop_gradient=False shows the collapse.
"""

from contrastive_jax.configs import common

CONSTANT = (("^p/", 1.0, True),)  # the predictor's rate


def get_config(size="1000"):
  if size in ("cpu", "paper"):
    config = common.cifar10("simsiam", "simsiam", "cpu" if size == "cpu" else "gpu")
    config.augment.blur = 0.0
    config.augment.normalize = "cifar"
    config.optimizer.lr_rules = CONSTANT
    config.method.head_layers = 2
    config.method.head_width = 2048
    if size == "cpu":
      config.method.head_width = 256
      config.method.embedding_size = 256
      config.method.predictor_width = 64
      config.batch_size = 64  # no negatives: four times as many steps
      config.optimizer.base_lr = 0.6
      config.optimizer.weight_decay = 5e-4
      return config
    config.epochs = 800
    config.optimizer.base_lr = 0.03
    config.optimizer.per_epoch = True
    return config
  config = common.plain_sgd(common.cifar10_solo("simsiam", "solo_cifar", size))
  config.augment.color_strength = 0.5
  config.method.head_width = 2048
  config.optimizer.lr_rules = CONSTANT
  config.optimizer.base_lr = 0.5
  config.optimizer.weight_decay = 1e-5
  return config
