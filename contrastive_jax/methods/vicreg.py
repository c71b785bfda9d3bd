"""VICReg: Bardes et al., "Variance-Invariance-Covariance Regularization" (ICLR 2022).

The views of an image agree (invariance); every dimension of z keeps a standard deviation of 1 over
the batch (variance), and no two dimensions say the same (covariance). z is not normalised.
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
  """Hyper-parameters of VICReg; the defaults are the paper's (section 4.2)."""

  invariance_weight: float = option(25.0, "lambda: of the distance of the views (0: unrelated)")
  variance_weight: float = option(25.0, "mu: of the hinge on the standard deviation (0: collapse)")
  covariance_weight: float = option(1.0, "nu: of the squared covariances (0: few dimensions)")
  head_layers: int = option(3, "linear layers of the head")
  head_width: int = option(8192, "width of the head's hidden layers")
  embedding_size: int = option(8192, "D: size of z")

  def __post_init__(self):
    for name in ("invariance_weight", "variance_weight", "covariance_weight"):
      if not getattr(self, name) >= 0:
        raise errors.UserError(
          f"method.{name} {getattr(self, name)} is negative; the paper's weights are 25, 25, 1"
        )

  def network(self, backbone):
    backbone = backbone.clone(bn_views=2)  # the views pass through the network one by one
    # The authors' hidden layers have biases; the batch norm behind them subtracts each again.
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
    terms = vicreg(ends["z"])
    loss = sum(getattr(self, f"{name}_weight") * term for name, term in terms.items())
    return loss, base.Aux(stats, terms, {"h": ends["h"], "z": ends["z"]})


def vicreg(z: Float[Array, "B 2 D"]) -> dict[str, Float[Array, ""]]:
  """Computes the three terms of eq. 6 over the global batch, not weighted.

  Variances and covariances divide by B - 1 (eq. 3); gamma is 1 and eps 1e-4. The variance hinge is
  the mean over dimensions and, as in the authors' code, over the two views; the covariance term
  (eq. 4) is added over the views.

  Returns:
    `invariance` (eq. 5, divided by D as in the code), `variance` and `covariance`.
  """
  z = z.astype(jnp.float32)
  count, _, dim = z.shape
  invariance = jnp.mean((z[:, 0] - z[:, 1]) ** 2)
  z = z - z.mean(axis=0)
  variance = jnp.sum(z**2, axis=0) / (count - 1)
  hinge = jnp.mean(jax.nn.relu(1 - jnp.sqrt(variance + 1e-4)))
  covariance = 0.0
  for view in (0, 1):
    c = parallel.sum_of_products(z[:, view], z[:, view]) / (count - 1)
    covariance += jnp.sum(jnp.where(jnp.eye(dim, dtype=bool), 0.0, c**2)) / dim
  return {"invariance": invariance, "variance": hinge, "covariance": covariance}
