"""SimCLR: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations".

Two strong views of every image, a non-linear head g on the representation h, and NT-Xent (eq. 1)
between the views over the global batch, both views sharing their batch-norm statistics.
"""

import dataclasses
import math

from contrastive_jax import errors, losses
from contrastive_jax.losses import similarity
from contrastive_jax.methods import base
from contrastive_jax.options import check_scale, option

# What multiplies the loss; LARS hides it from kernels, not from biases and batch norm.
LOSS_FACTORS = {
  "paper": lambda tau: 1.0,  # eq. 1: the mean over all 2 N rows
  "code": lambda tau: 2.0,  # the released code adds the means of the two views
  "byol": lambda tau: 2 * tau,  # Grill et al., 2020, appendix F.5
}
NEGATIVES = ("both", "other_view")


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of SimCLR; the defaults are the paper's for ImageNet (sections 2.1, 5.1)."""

  any_views = True

  temperature: float = option(0.1, "tau: divides the cosine similarities (0.5 for CIFAR-10)")
  head: str = option("mlp", "projection head g: none, linear or mlp")
  head_layers: int = option(2, "linear layers of the mlp head (the paper 2, its code 3)")
  head_width: int | None = option(None, "width of the mlp head's hidden layers; unset: as h")
  head_bn: bool = option(True, "batch norm after the head's layers (as the code) or biases (text)")
  embedding_size: int = option(128, "D: size of z")
  loss_impl: str = option("auto", similarity.OPTION, identity=False)
  loss_factor: str = option("paper", f"of the loss: {', '.join(LOSS_FACTORS)} (1, 2, 2 tau)")
  negatives: str = option("both", f"views compared with: {' or '.join(NEGATIVES)} alone (E-SSL)")

  def __post_init__(self):
    for name, known in (("loss_factor", LOSS_FACTORS), ("negatives", NEGATIVES)):
      if getattr(self, name) not in known:
        raise errors.UserError(
          f'method.{name} "{getattr(self, name)}" is unknown; use one of {", ".join(known)}'
        )
    check_scale("method.temperature", self.temperature, "the paper uses 0.1, CIFAR-10 0.5")
    similarity.check("method.loss_impl", self.loss_impl)

  def network(self, backbone):
    return base.with_simclr_head(
      backbone,
      self.head_layers,
      self.embedding_size,
      self.head_width,
      kind=self.head,
      bn=self.head_bn,
    )

  def chance(self, task, num_views):
    columns = task.batch_size * (num_views if self.negatives == "both" else 1)
    columns -= self.negatives == "both"  # a view is not compared with itself
    return LOSS_FACTORS[self.loss_factor](self.temperature) * math.log(columns)

  def loss(self, net, params, stats, memory, batch, key):
    del memory, key
    image = base.image_ids(batch)
    ends, stats = base.forward(net, params, stats, batch["views"])
    if self.negatives == "both":
      loss, metrics = losses.ntxent(
        ends["z"], self.temperature, image, implementation=self.loss_impl
      )
    else:
      loss, metrics = losses.infonce_between_views(
        losses.l2_normalize(ends["z"]), self.temperature, image, implementation=self.loss_impl
      )
    loss = loss * LOSS_FACTORS[self.loss_factor](self.temperature)
    return loss, base.Aux(stats, metrics, {"h": ends["h"], "z": ends["z"]})
