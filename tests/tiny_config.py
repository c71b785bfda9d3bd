"""Configs of runs of seconds.

Beside them nothing: processes that tests start import this, with devices of their own choice.
"""

import functools
import operator

from contrastive_jax import config
from contrastive_jax.evaluation import config as eval_config


def tiny(method="simclr", backbone=None, **changes):
  """Four steps an epoch, no monitor, a network of 6,000 weights if no `backbone` is asked for.

  Changes are named as in `method__queue_size`.
  """
  c = config.pretrain(method, model="resnet8", recipe="crop_only")
  c.epochs, c.batch_size, c.image_size_px = 3, 16, 16
  c.method.embedding_size = 16
  c.model.width, c.model.stem = 0.25, "cifar_s2"
  c.optimizer.name, c.optimizer.warmup_epochs = "sgd", 0.0
  c.data.shapes.num_train, c.data.shapes.num_test, c.data.shapes.size_px = 64, 32, 16
  c.monitor.max_train, c.data.held_out = 0, 0
  c.data.order = "feistel"  # as a new run's config is written down
  c.log.every_steps, c.log.tensorboard, c.log.report = 2, False, False
  if backbone:
    c.model = config.backbone(**backbone)
  for key, value in changes.items():
    *sections, name = key.split("__")
    functools.reduce(operator.getitem, sections, c)[name] = value
  return c


def with_monitor():
  """One epoch of two steps, scored at its end by kNN of 32 images held out."""
  c = tiny(epochs=1, monitor__max_train=32, monitor__batch_size=32, monitor__k=5)
  c.data.shapes.num_train, c.data.held_out, c.log.every_steps = 64, 32, 1
  return c


def evaluation():
  """kNN and a linear probe on the images of `with_monitor`."""
  c = eval_config.evaluation("knn", "linear_sgd", name="scores")
  c.batch_size, c.knn.k = 24, 5  # 32 images: the last batch is not full
  c.linear_sgd.epochs, c.linear_sgd.batch_size, c.linear_sgd.min_steps = 3, 16, 0
  return c
