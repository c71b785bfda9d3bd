"""SimCLR on the built-in images with a small network: the whole chain in minutes on two cores.

contrastive_jax train --config=shapes/quickstart --workdir=runs/quickstart
contrastive_jax eval --config=eval/quickstart --workdir=runs/quickstart

The same network, views and steps with labels, the yardstick:

contrastive_jax train --config=shapes/quickstart:supervised --workdir=runs/supervised_shapes
"""

from contrastive_jax import config as config_lib


def get_config(method="simclr"):
  config = config_lib.pretrain(method, model="resnet8", recipe="simclr")
  config.epochs = 9
  config.batch_size = 256
  if method == "simclr":
    config.method.temperature = 0.2
    config.method.embedding_size = 64
  config.model.stem = "cifar_s2"
  config.model.weight_init = "torch"  # SimCLR's head starts at N(0, 0.01), chosen with LARS
  config.model.zero_gamma = False  # so few blocks need none of them to start as the identity
  config.augment.blur = 0.0
  config.augment.min_area = 0.3  # smaller crops often miss the figure
  config.augment.color_strength = 0.5
  config.augment.hue = 0.5  # any hue becomes any other: nothing but shape is left to agree on
  config.data.shapes.num_train = 4_551  # without the tenth that is held out 4,096
  config.optimizer.name = "sgd"
  config.optimizer.base_lr = 0.3
  config.optimizer.warmup_epochs = 1.0
  config.optimizer.weight_decay = 1e-4
  config.monitor.every_epochs = 3
  config.log.every_steps = 16
  config.log.views = True
  config.checkpoint.every_epochs = 3.0
  return config
