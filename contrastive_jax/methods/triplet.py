"""Triplet loss: Schroff et al., "FaceNet" (CVPR 2015), with two views as anchor and positive.

The squared distance of an image's views is to be smaller than that to any other image, by a margin;
negatives come from both views of the batch. Which of them count is the mining. The similarities of
the batch are held as a matrix: O(B^2) memory, divided over devices.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from contrastive_jax import errors, losses
from contrastive_jax.methods import base
from contrastive_jax.options import option

MININGS = ("all", "semi-hard", "hard")


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of the triplet loss; margin and mining are FaceNet's, the head SimCLR's."""

  margin: float = option(0.2, "alpha: between the squared distances, which go from 0 to 4")
  mining: str = option(
    "semi-hard", f"which negatives count: {', '.join(MININGS)} (hard collapses easily)"
  )
  head_layers: int = option(2, "linear layers of the head")
  head_width: int | None = option(None, "width of the head's hidden layers; unset: as h")
  embedding_size: int = option(128, "D: size of z")

  def __post_init__(self):
    if not 0 < self.margin <= 4:
      raise errors.UserError(
        f"method.margin {self.margin} is not in reach of squared distances; use 0 < margin <= 4"
      )
    if self.mining not in MININGS:
      raise errors.UserError(
        f'method.mining "{self.mining}" is unknown; use one of {", ".join(MININGS)}'
      )

  def network(self, backbone):
    return base.with_simclr_head(backbone, self.head_layers, self.embedding_size, self.head_width)

  def loss(self, net, params, stats, memory, batch, key):
    del memory, key
    ends, stats = base.forward(net, params, stats, batch["views"])
    loss, metrics = triplet(ends["z"], self.margin, self.mining, base.image_ids(batch))
    return loss, base.Aux(stats, metrics, {"h": ends["h"], "z": ends["z"]})


def triplet(
  z: Float[Array, "B 2 D"], alpha: float, mining: str, image: Int[Array, " B"] | None = None
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
  """Computes max(|a - p|^2 - |a - n|^2 + alpha, 0) (eq. 3), mean over negatives and anchors.

  Args:
    z: projections, not yet normalised.
    alpha: margin.
    mining: "all" negatives; "hard", the nearest; "semi-hard" (eq. 4), all those farther than the
      positive but by less than alpha. An anchor without one does not count.
    image: of each row, see `losses.formulas`.
  """

  def term(positive, s, negative):
    value = jax.nn.relu(2 * (s - positive) + alpha)  # |a - b|^2 = 2 - 2 a.b
    if mining == "all":
      return value, negative
    if mining == "hard":
      return value, negative & (s == jnp.max(jnp.where(negative, s, -2.0), axis=1, keepdims=True))
    return value, negative & losses.semi_hard(positive, s, alpha / 2)

  return losses.mean_over_negatives(losses.l2_normalize(z), term, image, same_view=True)
