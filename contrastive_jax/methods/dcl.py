"""DCL: Yeh et al., "Decoupled Contrastive Learning" (ECCV 2022).

NT-Xent whose denominator leaves out the positive, so that easy positives do not shrink the push
from the negatives: the batch may be small. DCLW weighs the positives by how far apart they are.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from contrastive_jax import losses
from contrastive_jax.losses import similarity
from contrastive_jax.methods import base
from contrastive_jax.options import check_scale, option


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of DCL; temperature and sigma are the paper's, the head is SimCLR's."""

  temperature: float = option(0.1, "tau: divides the cosine similarities")
  weighted: bool = option(False, "DCLW: weigh positives, the distant ones more")
  sigma: float = option(0.5, "of DCLW's weights 2 - exp(s / sigma) / mean exp(s / sigma)")
  head_layers: int = option(2, "linear layers of the head")
  head_width: int | None = option(None, "width of the head's hidden layers; unset: as h")
  embedding_size: int = option(128, "D: size of z")
  loss_impl: str = option("auto", similarity.OPTION, identity=False)

  def __post_init__(self):
    for name, usual in (("temperature", 0.1), ("sigma", 0.5)):
      check_scale(f"method.{name}", getattr(self, name), f"the paper uses {usual}")
    similarity.check("method.loss_impl", self.loss_impl)

  def network(self, backbone):
    return base.with_simclr_head(backbone, self.head_layers, self.embedding_size, self.head_width)

  def chance(self, task, num_views):
    return math.log(num_views * (task.batch_size - 1))

  def loss(self, net, params, stats, memory, batch, key):
    del memory, key
    ends, stats = base.forward(net, params, stats, batch["views"])
    sigma = self.sigma if self.weighted else None
    loss, metrics = dcl(
      ends["z"], self.temperature, sigma, base.image_ids(batch), implementation=self.loss_impl
    )
    return loss, base.Aux(stats, metrics, {"h": ends["h"], "z": ends["z"]})


def dcl(
  z: Float[Array, "B 2 D"],
  temperature: float,
  sigma: float | None = None,
  image: Int[Array, " B"] | None = None,
  *,
  implementation: str = "auto",
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
  """Computes L_DC (eq. 4), or with `sigma` L_DCW (eq. 6), as the mean over the 2 B rows.

  A row's denominator holds both views of all other images, and neither itself nor its positive, so
  the loss may be negative. A row without other images has none: nothing pushes it. As in the
  authors' code the gradient enters the weights; their code adds the two views' means, which is
  twice this.

  Args:
    z: projections, not yet normalised.
    temperature: tau.
    sigma: of the weights, or None for weights of 1.
    image: of each row, see `losses.formulas`.
    implementation: see `similarity.row_stats`.
  """
  u = losses.l2_normalize(z)
  num_images, num_views, dim = u.shape
  flat = u.reshape(num_images * num_views, dim)
  image = losses.of_views(losses.images(u, image), num_views)
  negatives = similarity.row_stats(
    flat, flat, image, image, temperature=temperature, implementation=implementation
  )
  s = losses.mean_positive(u)
  weight = 1.0
  if sigma is not None:
    closeness = jnp.exp((s - 1) / sigma)  # the factor exp(-1 / sigma) cancels
    weight = 2 - closeness / closeness.mean()
  push = jnp.where(similarity.has_columns(negatives), negatives.logsumexp, 0.0)
  loss = jnp.mean(push) - jnp.mean(weight * s) / temperature
  accuracy = jnp.mean(s.reshape(-1) / temperature > negatives.top)
  return loss, {
    "contrastive_accuracy": accuracy,
    "positive_similarity": jax.lax.stop_gradient(s).mean(),
  }
