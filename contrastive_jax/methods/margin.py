"""Margin loss: the triplet form that SimCLR compares with NT-Xent (Chen et al., 2020, Table 2).

The other view of an image is to be more similar than any other image, by a margin in cosine. The
similarities of the batch are held as a matrix: O(B^2) memory, divided over devices.
"""

import dataclasses

import jax
from jaxtyping import Array, Float, Int

from contrastive_jax import errors, losses
from contrastive_jax.methods import base
from contrastive_jax.options import option


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of the margin loss. The paper searched m in 0, 0.4, 0.8, 1.6 (B.10)."""

  margin: float = option(0.8, "m: by how much the positive's cosine is to exceed a negative's")
  semi_hard: bool = option(False, "only negatives less similar than the positive, by under margin")
  head_layers: int = option(2, "linear layers of the head")
  head_width: int | None = option(None, "width of the head's hidden layers; unset: as h")
  embedding_size: int = option(128, "D: size of z")

  def __post_init__(self):
    least = 0 if not self.semi_hard else 1e-6  # without a margin no negative is semi-hard
    if not least <= self.margin <= 2:
      raise errors.UserError(
        f"method.margin {self.margin} is no difference of cosines; use 0 to 2, above 0 if semi_hard"
      )

  def network(self, backbone):
    return base.with_simclr_head(backbone, self.head_layers, self.embedding_size, self.head_width)

  def loss(self, net, params, stats, memory, batch, key):
    del memory, key
    ends, stats = base.forward(net, params, stats, batch["views"])
    loss, metrics = margin(ends["z"], self.margin, self.semi_hard, base.image_ids(batch))
    return loss, base.Aux(stats, metrics, {"h": ends["h"], "z": ends["z"]})


def margin(
  z: Float[Array, "B 2 D"], m: float, semi_hard: bool = False, image: Int[Array, " B"] | None = None
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
  """Computes the mean over v- of max(u.v- - u.v+ + m, 0), mean over u.

  Table 2 writes one negative; the mean over all of them is our reading. They come from the view
  that u is not from (section 5.1).

  Args:
    z: projections, not yet normalised.
    m: margin.
    semi_hard: keep only negatives with u.v+ - m < u.v- < u.v+.
    image: of each row, see `losses.formulas`.
  """

  def term(positive, s, negative):
    keep = negative & losses.semi_hard(positive, s, m) if semi_hard else negative
    return jax.nn.relu(s - positive + m), keep

  return losses.mean_over_negatives(losses.l2_normalize(z), term, image)
