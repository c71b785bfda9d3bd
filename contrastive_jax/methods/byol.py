"""BYOL: Grill et al., "Bootstrap Your Own Latent" (NeurIPS 2020).

A predictor on the online network's embedding of one view predicts the target network's embedding of
the other. The target is a moving average of the online network, has no predictor and gets no
gradient; there are no negatives. Each view has its own batch statistics, in both networks.
"""

import dataclasses

import jax
import jax.numpy as jnp

from contrastive_jax import losses
from contrastive_jax.losses import memory as memory_lib
from contrastive_jax.methods import base
from contrastive_jax.models import heads, norm
from contrastive_jax.models.network import Head, Network
from contrastive_jax.options import option


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of BYOL; the defaults are the paper's for ImageNet (sections 3.2, 3.3)."""

  head_width: int = option(4096, "hidden width of the projector g")
  embedding_size: int = option(256, "D: size of z and of the prediction")
  predictor: bool = option(True, "predict with q; False compares z itself, and collapses")
  predictor_width: int = option(4096, "hidden width of the predictor q")
  momentum: float = option(0.996, "tau_base: of the target, rises to 1 along a cosine")

  def __post_init__(self):
    memory_lib.check_momentum(self.momentum)

  def network(self, backbone):
    backbone = backbone.clone(bn_views=2)
    options = {"weight_init": backbone.weight_init, **norm.options(backbone)}
    # The released code has biases in the hidden layers; the batch norm after them undoes them.
    g = heads.MLP((self.head_width,), self.embedding_size, **options)
    q = heads.MLP((self.predictor_width,), self.embedding_size, **options)
    predictor = (Head("p", q, "z"),) if self.predictor else ()
    return Network(backbone, (Head("z", g), *predictor))

  def init_memory(self, net, variables, task, key):
    """The target starts from weights of its own, not as a copy (released code)."""
    image = jnp.zeros((1, task.image_size_px, task.image_size_px, task.channels))
    return {"target": _without_predictor(net).init(key, image, train=False)["params"]}

  def loss(self, net, params, stats, memory, batch, key):
    views = batch["views"]
    ends, new_stats = base.forward(net, params, stats, views)
    targets, _ = base.forward(_without_predictor(net), memory["target"], stats, views)
    q = losses.l2_normalize(ends["p" if self.predictor else "z"])
    z = jax.lax.stop_gradient(losses.l2_normalize(targets["z"]))
    cosine = jnp.sum(q * z[:, ::-1], axis=-1)  # each view's prediction with the other's target
    loss = jnp.mean(jnp.sum(2 - 2 * cosine, axis=1))
    return loss, base.Aux(new_stats, {}, {"h": ends["h"], "z": ends["z"]})

  def update_memory(self, memory, params, carry, progress):
    momentum = memory_lib.cosine_momentum(self.momentum, progress)
    return {"target": memory_lib.follow(memory["target"], params, momentum)}


def _without_predictor(net: Network) -> Network:
  return net.clone(heads=net.heads[:1])
