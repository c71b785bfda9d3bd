"""NT-Logistic: the logistic loss that SimCLR compares with NT-Xent (Chen et al., 2020, Table 2).

Two views of an image are to be called alike, and views of two images unlike, each pair judged by
itself. The similarities of the batch are held as a matrix: O(B^2) memory, divided over devices.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from contrastive_jax import errors, losses
from contrastive_jax.methods import base
from contrastive_jax.options import check_scale, option


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of NT-Logistic. The paper searched tau in 0.1, 0.2, 0.5, 1 (section B.10)."""

  temperature: float = option(0.2, "tau: divides the cosine similarities")
  semi_hard: bool = option(False, "only negatives less similar than the positive, by under margin")
  margin: float = option(0.4, "of semi_hard, in cosine (the paper does not give it)")
  head_layers: int = option(2, "linear layers of the head")
  head_width: int | None = option(None, "width of the head's hidden layers; unset: as h")
  embedding_size: int = option(128, "D: size of z")

  def __post_init__(self):
    check_scale("method.temperature", self.temperature, "use e.g. 0.2")
    if not self.margin > 0:
      raise errors.UserError(f"method.margin {self.margin} is not positive; use e.g. 0.4")

  def network(self, backbone):
    return base.with_simclr_head(backbone, self.head_layers, self.embedding_size, self.head_width)

  def loss(self, net, params, stats, memory, batch, key):
    del memory, key
    ends, stats = base.forward(net, params, stats, batch["views"])
    loss, metrics = nt_logistic(
      ends["z"],
      self.temperature,
      self.margin if self.semi_hard else None,
      base.image_ids(batch),
    )
    return loss, base.Aux(stats, metrics, {"h": ends["h"], "z": ends["z"]})


def nt_logistic(
  z: Float[Array, "B 2 D"],
  temperature: float,
  semi_hard_margin: float | None = None,
  image: Int[Array, " B"] | None = None,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
  """Computes -log sigmoid(u.v+ / tau) - mean over v- of log sigmoid(-u.v- / tau), mean over u.

  Table 2 writes one negative; the mean over all of them is our reading. They come from the view
  that u is not from (section 5.1).

  Args:
    z: projections, not yet normalised.
    temperature: tau.
    semi_hard_margin: keep only negatives with u.v+ - margin < u.v- < u.v+; None keeps all.
    image: of each row, see `losses.formulas`.
  """
  u = losses.l2_normalize(z)

  def term(positive, s, negative):
    keep = negative
    if semi_hard_margin is not None:
      keep &= losses.semi_hard(positive, s, semi_hard_margin)
    return jax.nn.softplus(s / temperature), keep

  push, metrics = losses.mean_over_negatives(u, term, image)
  pull = jnp.mean(jax.nn.softplus(-losses.mean_positive(u) / temperature))
  return pull + push, metrics
