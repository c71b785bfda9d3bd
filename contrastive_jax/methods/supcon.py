"""SupCon: Khosla et al., "Supervised Contrastive Learning" (NeurIPS 2020).

NT-Xent in which every view of every image of the same class is a positive. The mean over the
positives is taken outside the logarithm (L_out, eq. 2), the better of the paper's two forms.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from contrastive_jax import errors, losses, parallel
from contrastive_jax.losses import similarity
from contrastive_jax.methods import base
from contrastive_jax.models import heads
from contrastive_jax.models.network import Head, Network
from contrastive_jax.options import check_scale, option


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of SupCon; temperatures and head are those of the paper and its code."""

  any_views = True

  temperature: float = option(0.1, "tau: divides the cosine similarities")
  base_temperature: float = option(0.07, "tau_b: the loss is multiplied by tau / tau_b")
  head_width: int | None = option(None, "width of the head's hidden layer; unset: as h")
  embedding_size: int = option(128, "D: size of z")
  loss_impl: str = option("auto", similarity.OPTION, identity=False)

  def __post_init__(self):
    for name, usual in (("temperature", 0.1), ("base_temperature", 0.07)):
      check_scale(f"method.{name}", getattr(self, name), f"the paper uses {usual}")
    similarity.check("method.loss_impl", self.loss_impl)

  def network(self, backbone):
    head = heads.MLP(
      (self.head_width,),
      self.embedding_size,
      hidden_bias=True,
      out_bias=True,
      hidden_bn=False,
      weight_init=backbone.weight_init,
    )
    return Network(backbone, (Head("z", head),))

  def init_memory(self, net, variables, task, key):
    """Returns the classes' numbers: all that the loss needs to know of the data."""
    del net, variables, key
    if not task.num_classes:
      raise errors.UserError(
        "supcon: the data has 0 classes; use labelled data, or a config of simclr for data without"
      )
    return {"classes": jnp.arange(task.num_classes, dtype=jnp.int32)}

  def chance(self, task, num_views):
    factor = self.temperature / self.base_temperature
    return factor * math.log(num_views * task.batch_size - 1)

  def loss(self, net, params, stats, memory, batch, key):
    del key
    ends, stats = base.forward(net, params, stats, batch["views"])
    one_hot = (batch["label"][:, None] == memory["classes"]).astype(jnp.float32)
    loss, metrics = supcon(
      ends["z"], one_hot, self.temperature, base.image_ids(batch), implementation=self.loss_impl
    )
    loss = loss * (self.temperature / self.base_temperature)
    return loss, base.Aux(stats, metrics, {"h": ends["h"], "z": ends["z"]})


def supcon(
  z: Float[Array, "B V D"],
  one_hot: Float[Array, "B K"],
  temperature: float,
  image: Int[Array, " B"] | None = None,
  *,
  implementation: str = "auto",
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
  """Computes L_out (eq. 2) divided by the number of rows, without the factor tau / tau_b.

  The mean similarity to the positives is linear in them, so sums per class are all it needs.

  Args:
    z: projections, not yet normalised.
    one_hot: classes; a row of zeros has no label, its only positives are its own other views.
    temperature: tau.
    image: of each row, see `losses.formulas`. It matters where there is no label: views of one
      class are positives, also if they are of one image.
    implementation: see `similarity.row_stats`.

  Returns:
    The loss in nats, and the metric `contrastive_accuracy` (share of rows whose mean positive is
    more similar than every view of another class).
  """
  u = losses.l2_normalize(z)
  num_images, num_views, dim = u.shape
  own = u.sum(axis=1)  # [B, D], of an image's views
  known = jnp.sum(one_hot, axis=1) > 0
  label = jnp.argmax(one_hot, axis=1)
  of_class = parallel.sum_of_products(one_hot, own)  # [K, D]
  same = jnp.where(known[:, None], parallel.look_up(of_class, label), own)
  images = jnp.where(known, parallel.look_up(one_hot.sum(axis=0), label), 1.0)
  positives = num_views * images - 1  # all views of the class but the row itself
  positive = jnp.sum(u * (same[:, None] - u), axis=-1) / positives[:, None] / temperature

  image = losses.images(u, image)
  group = losses.of_views(jnp.where(known, label, one_hot.shape[1] + image), num_views)
  # A view with a label is left out of its own row; without, with it all views of its image, and
  # those in its own place are added again.
  known, image = losses.of_views(known, num_views), losses.of_views(image, num_views)
  row = parallel.row_ids(num_images * num_views)
  row = jnp.where(known, row, len(row) + image)
  flat = u.reshape(num_images * num_views, dim)
  stats = similarity.row_stats(
    flat,
    flat,
    row,
    row,
    q_group=group,
    k_group=group,
    temperature=temperature,
    implementation=implementation,
  )
  of_own = jax.nn.logsumexp(losses.to_own_views(u) / temperature, axis=-1).reshape(-1)
  total = jnp.where(known, stats.logsumexp, jnp.logaddexp(stats.logsumexp, of_own))
  loss = jnp.mean(total) - jnp.mean(positive)
  return loss, {"contrastive_accuracy": jnp.mean(positive.reshape(-1) > stats.top)}
