"""Relative patch location: Doersch et al., "Unsupervised Visual Representation Learning by Context
Prediction" (ICCV 2015), in the form of Kolesnikov et al. (CVPR 2019).

Nine patches of an image in a 3x3 grid; from the embeddings of the centre and of one neighbour a
linear layer says which of the eight neighbours it is. All eight pairs of an image are in its batch.
"""

import dataclasses

import jax.numpy as jnp

from contrastive_jax import losses
from contrastive_jax.augment import cells
from contrastive_jax.methods import base
from contrastive_jax.models import heads
from contrastive_jax.models.network import Head, Network
from contrastive_jax.options import option

CENTRE, NEIGHBOURS = 4, (0, 1, 2, 3, 5, 6, 7, 8)


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of relative patch location."""

  num_views = 1

  embedding_size: int = option(1000, "width of a patch's embedding")

  def network(self, backbone):
    init = backbone.weight_init
    embed = heads.MLP((), self.embedding_size, out_bias=True, weight_init=init)
    locate = heads.MLP((), len(NEIGHBOURS), out_bias=True, weight_init=init)
    return Network(backbone, (Head("z", embed), Head("location", locate, "z", copies=2)))

  def loss(self, net, params, stats, memory, batch, key):
    del memory
    patches = cells.cut(key, batch["index"], batch["views"][:, 0])
    ends, stats = base.forward(net, params, stats, patches)
    z = ends["z"]
    pairs = [jnp.concatenate([z[:, CENTRE], z[:, n]], axis=-1) for n in NEIGHBOURS]
    logits, stats = base.apply_head(net, "location", params, stats, jnp.stack(pairs, axis=1))
    target = jnp.zeros_like(logits[..., 0], jnp.int32) + jnp.arange(len(NEIGHBOURS))
    loss, accuracy = losses.cross_entropy(logits, target)
    return loss, base.Aux(stats, {"pretext_accuracy": accuracy}, {"h": ends["h"]})
