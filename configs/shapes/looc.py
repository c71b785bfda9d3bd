"""LooC on the built-in images: are the kept factors, rotation and hue, still in the features?

contrastive_jax train --config=shapes/looc:rotation --workdir=runs/looc_rotation
contrastive_jax train --config=shapes/looc:color --workdir=runs/looc_color
contrastive_jax train --config=shapes/looc:rotation,color --workdir=runs/looc_both
contrastive_jax eval --config=eval/quickstart --workdir=runs/looc_rotation \\
  --config.layers=h,z --config.data.label=rotation    # or shape, hue; h: LooC, z: LooC++

MoCo with the same network and views, invariant to both factors or, without one of the two
augmentations, to the other:

contrastive_jax train --config=shapes/looc:moco --workdir=runs/moco
contrastive_jax train --config=shapes/looc:moco --workdir=runs/moco_no_rotation \\
  --config.augment.rotate=0.0    # or color_strength=0.0

Network and views of quickstart.py, but no flip, and in every view a turn by a right angle, whatever
is kept; paler images, smaller batches and a higher rate. What an image shows is known, so any of
its factors can be the label of a probe.
"""

from contrastive_jax import config as config_lib


def get_config(kept="rotation"):
  method = "moco" if kept == "moco" else "looc"
  config = config_lib.pretrain(method, model="resnet8", recipe="simclr")
  # After 48 the kept colour still costs 7 points of shape, after 96 less than one.
  config.epochs = 96
  config.batch_size = 128
  # At the usual 0.3 the hue tells an image from all others: the space that keeps colour is solved
  # by it, and the network learns no shape (docs/results.md).
  config.data.shapes.colorfulness = 0.1
  if method == "looc":
    config.method.kept = tuple(kept.split(","))
  # Runs of 3,072 steps: at the paper's momentum of 0.999 the keys would stand still, and at a
  # smaller one the keys in a queue are told from new ones by their age alone, which is all that is
  # learnt.
  config.method.queue_size = 0
  config.method.momentum = 0.95
  config.method.embedding_size = 64
  config.model.stem = "cifar_s2"
  config.model.weight_init = "torch"
  config.model.zero_gamma = False
  config.augment.rotate = 1.0
  config.augment.flip = 0.0  # a flip turns a figure's rotation 1 into 3
  config.augment.blur = 0.0
  config.augment.min_area = 0.3
  config.augment.color_strength = 0.5
  config.augment.hue = 0.5
  config.optimizer.name = "sgd"
  config.optimizer.base_lr = 0.6
  config.optimizer.warmup_epochs = 1.0
  config.optimizer.weight_decay = 1e-4
  config.monitor.every_epochs = 6
  config.log.every_steps = 16
  config.log.views = True
  config.checkpoint.every_epochs = 6.0
  return config
