"""SimSiam: Chen and He, "Exploring Simple Siamese Representation Learning" (CVPR 2021).

A predictor on the embedding of one view predicts the embedding of the other, which is held fixed:
no negatives, no second network. Each view has its own batch statistics.

The predictor's learning rate stays at its peak: `optimizer.lr_rules` in the configs.
"""

import dataclasses

import jax
import jax.numpy as jnp

from contrastive_jax import errors, losses
from contrastive_jax.methods import base
from contrastive_jax.models import heads, norm
from contrastive_jax.models.network import Head, Network
from contrastive_jax.options import option


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of SimSiam; the defaults are the paper's for ImageNet (section 3)."""

  head_layers: int = option(3, "linear layers of the projector (2 for CIFAR-10)")
  head_width: int | None = option(None, "width of the projector's hidden layers; unset: as h")
  embedding_size: int = option(2048, "D: size of z and p")
  predictor_width: int = option(512, "hidden width of the predictor h, a bottleneck")
  stop_gradient: bool = option(True, "hold z fixed; False lets it move, and collapses")

  def __post_init__(self):
    if self.head_layers < 1:
      raise errors.UserError(f"method.head_layers {self.head_layers} is below 1; use 2 or 3")

  def network(self, backbone):
    backbone = backbone.clone(bn_views=2)
    options = {"weight_init": backbone.weight_init, **norm.options(backbone)}
    # The authors freeze the last bias: the batch norm after it would take it off again.
    f = heads.MLP(
      (self.head_width,) * (self.head_layers - 1), self.embedding_size, last_bn="plain", **options
    )
    h = heads.MLP((self.predictor_width,), self.embedding_size, out_bias=True, **options)
    return Network(backbone, (Head("z", f), Head("p", h, "z")))

  def loss(self, net, params, stats, memory, batch, key):
    ends, stats = base.forward(net, params, stats, batch["views"])
    p, z = losses.l2_normalize(ends["p"]), losses.l2_normalize(ends["z"])
    if self.stop_gradient:
      z = jax.lax.stop_gradient(z)
    # The mean over the two views is the paper's 1/2 D(p1, z2) + 1/2 D(p2, z1), eq. 2.
    loss = -jnp.mean(jnp.sum(p * z[:, ::-1], axis=-1))
    return loss, base.Aux(stats, {}, {"h": ends["h"], "z": ends["z"]})
