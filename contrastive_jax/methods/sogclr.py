"""SogCLR: Yuan et al., "Provable Stochastic Optimization for Global Contrastive Learning" (ICML
2022).

An image is contrasted with the negatives of all batches, not of its own batch alone: a moving
average u of what its negatives weigh, one number an image, stands in the place of the batch's sum.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from contrastive_jax import errors, losses, parallel
from contrastive_jax.losses import memory as memory_lib
from contrastive_jax.losses import similarity
from contrastive_jax.methods import base
from contrastive_jax.options import check_scale, option

# What multiplies the loss in nats, which is DCL's where gamma is 1.
LOSS_FACTORS = {
  "nats": lambda tau: 1.0,
  "paper": lambda tau: tau,  # its objective is tau log u, in units of the cosine
  "code": lambda tau: 2 * tau,  # the released code adds the means of the two views
}


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of SogCLR; the defaults are those of the released code for ImageNet."""

  temperature: float = option(0.1, "tau: divides the cosine similarities (0.3 for CIFAR-10)")
  gamma: float = option(0.9, "weight of the batch in u, 0.1 to 1 (1: the batch alone, as DCL)")
  head_layers: int = option(2, "linear layers of the head")
  head_width: int | None = option(None, "width of the head's hidden layers; unset: as h")
  embedding_size: int = option(128, "D: size of z")
  loss_impl: str = option("auto", similarity.OPTION, identity=False)
  loss_factor: str = option("nats", f"of the loss: {', '.join(LOSS_FACTORS)} (1, tau, 2 tau)")

  def __post_init__(self):
    check_scale("method.temperature", self.temperature, "the released code has 0.1")
    if not 0 < self.gamma <= 1:
      raise errors.UserError(
        f"method.gamma {self.gamma} is out of range; use above 0 to 1, e.g. 0.9"
      )
    if self.loss_factor not in LOSS_FACTORS:
      raise errors.UserError(
        f'method.loss_factor "{self.loss_factor}" is unknown; use one of {", ".join(LOSS_FACTORS)}'
      )
    similarity.check("method.loss_impl", self.loss_impl)

  def network(self, backbone):
    return base.with_simclr_head(backbone, self.head_layers, self.embedding_size, self.head_width)

  def init_memory(self, net, variables, task, key):
    # u itself would overflow at small tau; and zero, or minus infinity, is no mark for an image
    # without u: a state that is not finite counts as a failed step.
    return {"log_u": jnp.zeros(task.num_images), "seen": jnp.zeros(task.num_images, bool)}

  def loss(self, net, params, stats, memory, batch, key):
    del key
    ends, stats = base.forward(net, params, stats, batch["views"])
    index = batch["index"]
    before = (memory_lib.bank_rows(memory[name], index) for name in ("log_u", "seen"))
    loss, metrics, after = sogclr(
      ends["z"], *before, self.temperature, self.gamma, index, implementation=self.loss_impl
    )
    loss *= LOSS_FACTORS[self.loss_factor](self.temperature)
    carry = {"index": index, **after}
    return loss, base.Aux(stats, metrics, {"h": ends["h"], "z": ends["z"]}, carry)

  def update_memory(self, memory, params, carry, progress):
    return {
      name: memory_lib.bank_update(memory[name], carry["index"], carry[name])
      for name in ("log_u", "seen")
    }


def sogclr(
  z: Float[Array, "B V D"],
  log_u: Float[Array, " B"],
  seen: Bool[Array, " B"],
  temperature: float,
  gamma: float,
  image: Int[Array, " B"] | None = None,
  *,
  implementation: str = "auto",
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]], dict[str, Array]]:
  """Computes log u - u_i.u_i+ / tau, mean over the B V rows, with the gradient of SogCLR.

  A row's g is the mean of exp(s / tau) over the views of all other images in the batch, and its u
  is (1 - gamma) u + gamma g, where u is the image's own (g alone, if it has none yet). The gradient
  is that of g / u with u held fixed (Algorithm 1; released code): it divides what a small batch
  knows by what many batches knew. All is kept in logarithms.

  Args:
    z: projections, not yet normalised.
    log_u: of each image, as it is remembered.
    seen: whether it is.
    temperature: tau.
    gamma: weight of this batch.
    image: of each row, see `losses.formulas`.
    implementation: see `similarity.row_stats`.

  Returns:
    The loss in nats; the metrics `contrastive_accuracy` (as NT-Xent's), `positive_similarity` and
    `normaliser_ratio` (mean of g / u); and the images' new `log_u`, the mean u of their views, and
    `seen`.
  """
  u = losses.l2_normalize(z)
  num_images, num_views, dim = u.shape
  flat = u.reshape(num_images * num_views, dim)
  image = losses.images(u, image)
  of_view = losses.of_views(image, num_views)
  negatives = similarity.row_stats(
    flat, flat, of_view, of_view, temperature=temperature, implementation=implementation
  )
  count = num_views * (num_images - _copies(image))[:, None]  # of a row's negatives
  some = count > 0
  log_sum = jnp.where(some, negatives.logsumexp.reshape(num_images, num_views), 0.0)
  log_g = log_sum - jnp.log(jnp.maximum(count, 1))
  s = losses.mean_positive(u)

  fixed_g, fixed_s, log_u = jax.lax.stop_gradient((log_g, s, log_u[:, None]))
  mixed = fixed_g
  if gamma < 1:
    mixed = jnp.logaddexp(math.log1p(-gamma) + log_u, math.log(gamma) + fixed_g)
  new = jnp.where(seen[:, None], mixed, fixed_g)
  ratio = jnp.where(some, jnp.exp(fixed_g - new), 0.0)  # g / u
  # The value is the objective's estimate; the second term is zero and has the gradient.
  push = jnp.where(some, new, 0.0) + ratio * (log_g - fixed_g)
  loss = jnp.mean(push) - jnp.mean(s) / temperature

  metrics = {
    "contrastive_accuracy": jnp.mean(fixed_s.reshape(-1) / temperature > negatives.top),
    "positive_similarity": jnp.mean(fixed_s),
    "normaliser_ratio": jnp.mean(ratio),
  }
  mean = jax.nn.logsumexp(new, axis=1) - math.log(num_views)
  has_new = some[:, 0]
  after = {"log_u": jnp.where(has_new, mean, log_u[:, 0]), "seen": seen | has_new}
  return loss, metrics, after


def _copies(image: Int[Array, " B"]) -> Int[Array, " B"]:
  """Returns how often each row's image is in the batch."""
  return parallel.over_rows(
    lambda own, all_: jnp.sum(own[:, None] == all_, axis=1, dtype=jnp.int32), image, image
  )
