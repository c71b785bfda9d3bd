"""Supervised learning: cross entropy with the same nets, views and loop as every other method.

The yardstick of half of SimCLR's tables. One view an image by default; further views are further
examples. No z is measured: labels leave no room for collapse.
"""

import dataclasses
import math

import jax.numpy as jnp

from contrastive_jax import errors, losses
from contrastive_jax.methods import base
from contrastive_jax.models import heads
from contrastive_jax.models.network import Head, Network
from contrastive_jax.options import option


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of supervised learning."""

  any_views = True
  num_views = 1

  num_classes: int = option(10, "of the training set")
  label_smoothing: float = option(0.0, "share of a label that is spread over all classes")

  def __post_init__(self):
    if self.num_classes < 2:
      raise errors.UserError(
        f"method.num_classes {self.num_classes} is below 2; use that of the data"
      )
    if not 0 <= self.label_smoothing < 1:
      raise errors.UserError(
        f"method.label_smoothing {self.label_smoothing} is no share below 1; use e.g. 0 or 0.1"
      )

  def network(self, backbone):
    classifier = heads.MLP((), self.num_classes, out_bias=True, weight_init=backbone.weight_init)
    return Network(backbone, (Head("logits", classifier),))

  def init_memory(self, net, variables, task, key):
    """Returns {}, after comparing the classes of the data with those of the network."""
    del net, variables, key
    if not task.num_classes:
      raise errors.UserError(
        "supervised: the data has 0 classes; use labelled data or a method without"
      )
    if task.num_classes != self.num_classes:
      raise errors.UserError(
        f"method.num_classes {self.num_classes}: the data has {task.num_classes}; use "
        f"--config.method.num_classes={task.num_classes}"
      )
    return {}

  def chance(self, task, num_views):
    del task, num_views
    return math.log(self.num_classes)

  def loss(self, net, params, stats, memory, batch, key):
    del memory, key
    ends, stats = base.forward(net, params, stats, batch["views"])
    logits = ends["logits"].reshape(-1, self.num_classes)
    label = jnp.broadcast_to(batch["label"][:, None], batch["views"].shape[:2]).reshape(-1)
    loss, accuracy = losses.cross_entropy(logits, label, self.label_smoothing)
    return loss, base.Aux(stats, {"accuracy": accuracy}, {"h": ends["h"]})
