"""Barlow Twins: Zbontar et al., "Self-Supervised Learning via Redundancy Reduction" (ICML 2021).

The cross-correlation of two views' embeddings over the global batch is pulled towards the identity:
ones on the diagonal make the views agree, zeros elsewhere keep the dimensions apart.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from contrastive_jax import errors, parallel
from contrastive_jax.methods import base
from contrastive_jax.models import heads, norm
from contrastive_jax.models.network import Head, Network
from contrastive_jax.options import option


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of Barlow Twins; the defaults are the paper's (sections 2.1, 2.2)."""

  redundancy_weight: float = option(
    0.0051, "lambda: weight of the off-diagonal (0: only invariance)"
  )
  loss_factor: float = option(1.0, "of the loss (solo-learn 0.1), which LARS takes out of kernels")
  head_layers: int = option(3, "linear layers of the head")
  head_width: int = option(8192, "width of the head's hidden layers")
  embedding_size: int = option(8192, "D: size of z")

  def __post_init__(self):
    if not self.redundancy_weight >= 0:
      raise errors.UserError(
        f"method.redundancy_weight {self.redundancy_weight} is negative; the paper uses 0.0051"
      )

    if not self.loss_factor > 0:
      raise errors.UserError(
        f"method.loss_factor {self.loss_factor} is not positive; the authors' code has 1"
      )

  def network(self, backbone):
    backbone = backbone.clone(bn_views=2)  # the views pass through the network one by one
    head = heads.MLP(
      (self.head_width,) * (self.head_layers - 1),
      self.embedding_size,
      weight_init=backbone.weight_init,
      **norm.options(backbone),
    )
    return Network(backbone, (Head("z", head),))

  def loss(self, net, params, stats, memory, batch, key):
    del memory, key
    ends, stats = base.forward(net, params, stats, batch["views"])
    loss, metrics = barlow(ends["z"], self.redundancy_weight)
    return self.loss_factor * loss, base.Aux(stats, metrics, {"h": ends["h"], "z": ends["z"]})


def barlow(
  z: Float[Array, "B 2 D"], redundancy_weight: float
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
  """Computes eq. 1: sum_i (1 - C_ii)^2 + lambda sum_{i != j} C_ij^2.

  C is the cross-correlation [D, D] of the two views over the global batch (eq. 2); as in the
  authors' code each view is standardised by a batch norm without parameters (eps 1e-5).

  Returns:
    The loss, and the metrics `invariance` (the first sum) and `redundancy` (the second, without
    lambda).
  """
  z = z.astype(jnp.float32)
  z = (z - z.mean(axis=0)) * jax.lax.rsqrt(z.var(axis=0) + 1e-5)
  c = parallel.sum_of_products(z[:, 0], z[:, 1]) / len(z)
  invariance = jnp.sum((1 - jnp.diagonal(c)) ** 2)
  redundancy = jnp.sum(jnp.where(jnp.eye(len(c), dtype=bool), 0.0, c**2))
  metrics = {"invariance": invariance, "redundancy": redundancy}
  return invariance + redundancy_weight * redundancy, metrics
