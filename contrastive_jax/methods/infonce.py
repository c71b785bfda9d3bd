"""InfoNCE between two views: each view picks its partner among the other view's whole batch.

The loss of CPC (van den Oord et al., 2018, eq. 4) on the frame of SimCLR, without negatives from
the view's own side. E-SSL's SimCLR (Dangovski et al., ICLR 2022, released code) is this form; the
defaults are its head, its temperature and its batch norm, which sees the views one by one.
"""

import dataclasses
import math

import jax.numpy as jnp

from contrastive_jax import errors, losses
from contrastive_jax.losses import similarity as similarity_lib
from contrastive_jax.methods import base
from contrastive_jax.models import heads, norm
from contrastive_jax.models.network import Head, Network
from contrastive_jax.options import check_scale, option

SIMILARITIES = ("cosine", "dot")


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of InfoNCE."""

  temperature: float = option(0.2, "tau: divides the similarities (10 to 100 suit dot products)")
  similarity: str = option("cosine", f"of two embeddings: {' or '.join(SIMILARITIES)}")
  symmetric: bool = option(True, "view 1 also asks for view 0, and both losses are averaged")
  head_layers: int = option(3, "linear layers of the head")
  head_width: int = option(2048, "width of the head's hidden layers")
  embedding_size: int = option(128, "D: size of z")
  loss_impl: str = option("auto", similarity_lib.OPTION, identity=False)

  def __post_init__(self):
    check_scale("method.temperature", self.temperature, "use e.g. 0.2")
    if self.similarity not in SIMILARITIES:
      raise errors.UserError(
        f'method.similarity "{self.similarity}" is unknown; use {" or ".join(SIMILARITIES)}'
      )
    similarity_lib.check("method.loss_impl", self.loss_impl)

  def network(self, backbone):
    backbone = backbone.clone(bn_views=2)
    head = heads.MLP(
      (self.head_width,) * (self.head_layers - 1),
      self.embedding_size,
      last_bn="affine",
      weight_init=backbone.weight_init,
      **norm.options(backbone),
    )
    return Network(backbone, (Head("z", head),))

  def chance(self, task, num_views):
    del num_views
    return math.log(task.batch_size)

  def loss(self, net, params, stats, memory, batch, key):
    del memory, key
    ends, stats = base.forward(net, params, stats, batch["views"])
    z = ends["z"]
    u = losses.l2_normalize(z) if self.similarity == "cosine" else z.astype(jnp.float32)
    loss, metrics = losses.infonce_between_views(
      u,
      self.temperature,
      base.image_ids(batch),
      symmetric=self.symmetric,
      implementation=self.loss_impl,
    )
    return loss, base.Aux(stats, metrics, {"h": ends["h"], "z": z})
