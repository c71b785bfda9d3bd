"""Rotation: Gidaris et al., "Unsupervised Representation Learning by Predicting Image Rotations".

Every view is shown in its four right-angle rotations, and a linear layer on h says which (ICLR
2018, eq. 2 and 3). Probe an earlier block than the last: the last one knows more of the task.
"""

import dataclasses
import math

import jax.numpy as jnp

from contrastive_jax import augment, losses
from contrastive_jax.methods import base
from contrastive_jax.models import heads
from contrastive_jax.models.network import Head, Network

TURNS = 4


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """The paper's task has no hyper-parameter: all four rotations of an image are in its batch."""

  any_views = True
  num_views = 1

  def network(self, backbone):
    classifier = heads.MLP((), TURNS, out_bias=True, weight_init=backbone.weight_init)
    return Network(backbone, (Head("rotation", classifier),))

  def chance(self, task, num_views):
    del task, num_views
    return math.log(TURNS)

  def loss(self, net, params, stats, memory, batch, key):
    del memory, key
    turned = rotations(augment.made(batch["views"]))
    ends, stats = base.forward(net, params, stats, turned)
    logits = ends["rotation"]
    target = jnp.zeros_like(logits[..., 0], jnp.int32) + jnp.arange(logits.shape[1]) % TURNS
    loss, accuracy = losses.cross_entropy(logits, target)
    return loss, base.Aux(stats, {"pretext_accuracy": accuracy}, {"h": ends["h"]})


def rotations(views):
  """Returns [B, 4 V, H, H, C]: each view turned by 0, 90, 180 and 270 degrees, in this order."""
  turned = [jnp.rot90(views, k, axes=(2, 3)) for k in range(TURNS)]
  turned = jnp.stack(turned, axis=2)
  return turned.reshape(len(views), -1, *views.shape[2:])
