"""Relative patch location: Doersch et al., "Unsupervised Visual Representation Learning by Context
Prediction" (ICCV 2015), in the form of Kolesnikov et al. (CVPR 2019).

Nine patches of an image in a 3x3 grid; from the embeddings of the centre and of one neighbour an
MLP says which of the eight neighbours it is. All eight pairs of an image are in its batch.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from contrastive_jax import augment, losses
from contrastive_jax.augment import cells
from contrastive_jax.methods import _puzzle, base
from contrastive_jax.models import heads
from contrastive_jax.models.network import Network
from contrastive_jax.options import option

CENTRE, NEIGHBOURS = 4, (0, 1, 2, 3, 5, 6, 7, 8)


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of relative patch location."""

  num_views = 1

  embedding_size: int = option(1000, "width of a patch's embedding")
  head_width: int = option(4096, "width of the hidden layer over both patches")
  dropout: float = option(0.5, "share of the hidden layer that is dropped")

  def __post_init__(self):
    _puzzle.check_dropout(self.dropout)

  def network(self, backbone):
    embed = heads.MLP((), self.embedding_size, out_bias=True, weight_init=backbone.weight_init)
    return Network(
      backbone, _puzzle.heads_of_puzzle(backbone, self.head_width, len(NEIGHBOURS), 2, embed)
    )

  def chance(self, task, num_views):
    del task, num_views
    return math.log(len(NEIGHBOURS))

  def loss(self, net, params, stats, memory, batch, key):
    del memory
    place_key, dropout_key = jax.random.split(key)
    index = batch["index"]
    patches = cells.cut(place_key, index, augment.made(batch["views"])[:, 0])
    ends, stats = base.forward(net, params, stats, patches)
    z = ends["z"]
    pairs = [jnp.concatenate([z[:, CENTRE], z[:, n]], axis=-1) for n in NEIGHBOURS]
    pairs = jnp.stack(pairs, axis=1)
    logits, stats = _puzzle.solve(net, params, stats, pairs, index, dropout_key, self.dropout)
    target = jnp.zeros_like(logits[..., 0], jnp.int32) + jnp.arange(len(NEIGHBOURS))
    loss, accuracy = losses.cross_entropy(logits, target)
    return loss, base.Aux(stats, {"pretext_accuracy": accuracy}, {"h": ends["h"]})
