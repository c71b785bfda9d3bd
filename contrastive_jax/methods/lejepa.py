"""LeJEPA: Balestriero and LeCun, "Provable and Scalable Self-Supervised Learning Without the
Heuristics" (2025).

Every view of an image predicts the mean embedding of its large views, and a test of normality on
random projections (SIGReg) holds the embeddings of each view to a standard normal distribution. So
there is nothing to collapse to, and no negative, second network or stopped gradient.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from contrastive_jax import errors, losses
from contrastive_jax.methods import base
from contrastive_jax.models import heads, norm
from contrastive_jax.models.network import Head, Network
from contrastive_jax.options import option

# Algorithm 1, recalled: 17 points between -5 and 5. The released code took 17 between 0 and 3.
LARGEST_T, KNOTS = 5.0, 17


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of LeJEPA; the defaults are the authors' for ImageNet, lambda recalled."""

  any_views = True

  sigreg_weight: float = option(0.05, "lambda: weight of SIGReg; that of the prediction is 1 - it")
  slices: int = option(1024, "random directions in which each step looks")
  local_views: int = option(6, "small crops of each image beside the two large ones")
  head_layers: int = option(3, "linear layers of the head")
  head_width: int = option(2048, "width of the head's hidden layers")
  embedding_size: int = option(128, "D: size of z")

  def __post_init__(self):
    if not 0 <= self.sigreg_weight <= 1:
      raise errors.UserError(
        f"method.sigreg_weight {self.sigreg_weight} is out of range; use 0 to 1, e.g. 0.05"
      )
    for name, limit in (("slices", 1), ("local_views", 0), ("head_layers", 1)):
      if getattr(self, name) < limit:
        raise errors.UserError(
          f"method.{name} {getattr(self, name)} is below {limit}; use {limit} or more"
        )

  @property
  def num_local_views(self):
    return self.local_views

  def network(self, backbone):
    # The published hidden layers have biases, which the batch norm behind them takes out again.
    g = heads.MLP(
      (self.head_width,) * (self.head_layers - 1),
      self.embedding_size,
      out_bias=True,
      weight_init=backbone.weight_init,
      **norm.options(backbone),
    )
    return Network(backbone, (Head("z", g),))

  def loss(self, net, params, stats, memory, batch, key):
    del memory
    h, z, stats = base.forward_crops(net, params, stats, batch)
    large = batch["views"].shape[1]
    terms = {
      "prediction": prediction(z, large),
      "sigreg": sigreg(z, directions(key, self.embedding_size, self.slices)),
    }
    loss = (1 - self.sigreg_weight) * terms["prediction"] + self.sigreg_weight * terms["sigreg"]
    return loss, base.Aux(stats, terms, {"h": h[:, :large], "z": z[:, :large]})


def prediction(z: Float[Array, "B N D"], num_large: int) -> Float[Array, ""]:
  """Computes the mean squared distance of all N views to the mean of an image's large views.

  The large views come first; the gradient enters their mean as well.
  """
  return jnp.mean((z - z[:, :num_large].mean(axis=1, keepdims=True)) ** 2)


def directions(key: PRNGKeyArray, dim: int, count: int) -> Float[Array, "D M"]:
  """Draws `count` unit vectors, the same on all devices."""
  return losses.l2_normalize(jax.random.normal(key, (count, dim))).T


def sigreg(z: Float[Array, "B N D"], directions: Float[Array, "D M"]) -> Float[Array, ""]:
  """Computes SIGReg: the `epps_pulley` of each view in each direction, mean over both.

  A batch of normal embeddings has 1.06 whatever its size, embeddings in one point 0.41 B or more.
  """
  # Of B N M angles at each point nothing is kept for the backward pass but the projections.
  statistic = jax.checkpoint(epps_pulley)
  return jnp.mean(statistic(jnp.matmul(z, directions, precision="highest")))


def epps_pulley(x: Float[Array, "B ..."]) -> Float[Array, "..."]:
  """Compares the samples of a global batch with a standard normal distribution.

  B times the integral over t of |mean exp(i t x) - exp(-t^2 / 2)|^2 exp(-t^2 / 2), by the trapezoid
  rule (Epps and Pulley, 1983; LeJEPA, Algorithm 1). The integrand is even: half of the points do.
  """
  t = jnp.linspace(0, LARGEST_T, KNOTS // 2 + 1)
  normal = jnp.exp(-(t**2) / 2)
  weights = (t[1] * jnp.full(len(t), 2.0)).at[jnp.array([0, -1])].set(t[1])

  def distance(t, normal):
    return (jnp.mean(jnp.cos(t * x), axis=0) - normal) ** 2 + jnp.mean(jnp.sin(t * x), axis=0) ** 2

  return len(x) * jnp.tensordot(weights * normal, jax.vmap(distance)(t, normal), axes=1)
