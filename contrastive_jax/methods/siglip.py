"""SigLIP's loss between views: Zhai et al., "Sigmoid Loss for Language Image Pre-Training" (ICCV
2023).

Each pair of a first and a second view is judged by itself: of one image, or of two? Nothing is
normalised over the batch. The paper pairs images with texts; here both sides are views of images.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from contrastive_jax import losses
from contrastive_jax.losses import sigmoid, similarity
from contrastive_jax.methods import base
from contrastive_jax.models import heads, norm
from contrastive_jax.models.network import Head, Network
from contrastive_jax.options import check_scale, option


class Pair(nn.Module):
  """The two numbers that judge a pair, t' and b; the loss reads them, z passes through.

  They are called as those of batch norm are, so that no optimiser decays or adapts them.
  """

  scale: float
  bias: float

  @nn.compact
  def __call__(self, z: Float[Array, "N ... D"], train: bool) -> tuple[Array, tuple[()]]:
    self.param("scale", nn.initializers.constant(math.log(self.scale)), ())
    self.param("bias", nn.initializers.constant(self.bias), ())
    return z, ()


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of the loss; t and b start as the paper's, the head is SimCLR's."""

  scale: float = option(10.0, "t at first: multiplies the cosines; t' = log t is learnt")
  bias: float = option(-10.0, "b at first: added to them; learnt")
  head_layers: int = option(2, "linear layers of the head")
  head_width: int | None = option(None, "width of the head's hidden layers; unset: as h")
  embedding_size: int = option(128, "D: size of z")
  loss_impl: str = option("auto", similarity.OPTION, identity=False)

  def __post_init__(self):
    check_scale("method.scale", self.scale, "the paper has 10")
    similarity.check("method.loss_impl", self.loss_impl)

  def network(self, backbone):
    options = {"weight_init": backbone.weight_init, **norm.options(backbone)}
    g = heads.simclr("mlp", self.head_layers, self.embedding_size, self.head_width, **options)
    return Network(backbone, (Head("z", g), Head("pair", Pair(self.scale, self.bias), "z")))

  def loss(self, net, params, stats, memory, batch, key):
    del memory, key
    ends, stats = base.forward(net, params, stats, batch["views"])
    loss, metrics = siglip(
      ends["z"],
      params["pair"]["scale"],
      params["pair"]["bias"],
      base.image_ids(batch),
      implementation=self.loss_impl,
    )
    return loss, base.Aux(stats, metrics, {"h": ends["h"], "z": ends["z"]})


def siglip(
  z: Float[Array, "B 2 D"],
  log_scale: Float[Array, ""],
  bias: Float[Array, ""],
  image: Int[Array, " B"] | None = None,
  *,
  implementation: str = "auto",
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
  """Computes -1/B sum_ij log sigmoid(y_ij (t x_i . y_j + b)), Algorithm 1, with t = exp(t').

  y_ij is 1 where i = j, else -1; all B (B - 1) negatives count, each once. Pairs of places that
  hold the same image are left out.

  Args:
    z: projections, not yet normalised; x are those of the first views, y of the second.
    log_scale: t'.
    bias: b.
    image: of each row, see `losses.formulas`.
    implementation: see `similarity.row_stats`.

  Returns:
    The loss in nats, and the metrics `contrastive_accuracy` (share of first views whose own second
    view is more similar than all others), `positive_loss` and `negative_loss` (its two parts),
    `scale` and `bias`.
  """
  u = losses.l2_normalize(z)
  x, y = u[:, 0], u[:, 1]
  t, image = jnp.exp(log_scale), losses.images(u, image)
  negatives = sigmoid.row_sums(x, y, t, bias, image, image, implementation=implementation)
  own = t * jnp.sum(x * y, axis=-1) + bias
  positive, negative = jnp.mean(jax.nn.softplus(-own)), jnp.mean(negatives.total)
  return positive + negative, {
    "contrastive_accuracy": jnp.mean(own > negatives.top),
    "positive_loss": positive,
    "negative_loss": negative,
    "scale": t,
    "bias": bias,
  }
