"""Exemplar: Dosovitskiy et al. (NeurIPS 2014), as triplets: Kolesnikov et al. (CVPR 2019).

Eight views of each image are one class; a semi-hard triplet loss (Schroff et al., CVPR 2015,
section 3.2) on unit embeddings pulls them together. The released code of the second paper scales
to unit length over the batch; here every embedding has unit length, as the text says.
"""

import dataclasses

import jax
import jax.numpy as jnp

from contrastive_jax import losses, parallel
from contrastive_jax.methods import base
from contrastive_jax.models import heads
from contrastive_jax.models.network import Head, Network
from contrastive_jax.options import option


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of exemplar (Kolesnikov et al., section 3)."""

  crops: int = option(8, "views of each image")
  margin: float = option(0.5, "between squared distances")
  embedding_size: int = option(1000, "width of the embedding")

  @property
  def num_views(self) -> int:
    return self.crops

  def network(self, backbone):
    embed = heads.MLP((), self.embedding_size, out_bias=True, weight_init=backbone.weight_init)
    return Network(backbone, (Head("z", embed),))

  def loss(self, net, params, stats, memory, batch, key):
    del memory, key
    ends, stats = base.forward(net, params, stats, batch["views"])
    z = ends["z"]
    loss, active = semi_hard(losses.l2_normalize(z), self.margin, base.image_ids(batch))
    return loss, base.Aux(stats, {"active_triplets": active}, {"h": ends["h"], "z": z})


def semi_hard(u, margin, image=None):
  """Computes mean max(d(a, p) - d(a, n) + margin, 0) over all ordered pairs (a, p) of an image.

  n is, for each pair, the nearest view of another image that is farther from a than p is; if there
  is none, the farthest one. d is the squared distance. Needs O(N² V) memory for N = B V views.

  Args:
    u: unit embeddings [B, V, D].
    margin: alpha.
    image: of each row [B], see `losses.formulas`; without another image there is no term.

  Returns:
    The loss and the share of pairs with a positive term.
  """
  num_images, num_views, dim = u.shape
  image = losses.images(u, image)
  # Distances do not change if the middle of all points moves to 0, but round to far less there.
  u = u - jax.lax.stop_gradient(u.mean((0, 1)))

  def local(rows, columns):
    a, image = rows
    others, other_image = columns
    others = others.reshape(-1, dim)  # [N, D]
    to_all = _squared_norm(a)[:, :, None] + _squared_norm(others)
    to_all -= 2 * jnp.einsum("bvd,nd->bvn", a, others, precision="highest")
    foreign = (image[:, None] != jnp.repeat(other_image, num_views))[:, None, None]  # [b, 1, 1, N]
    to_own = _squared_norm(a[:, :, None] - a[:, None])
    to_all = jnp.broadcast_to(to_all[:, :, None], (*to_own.shape, to_all.shape[-1]))
    beyond = foreign & (to_all > to_own[..., None])
    nearest = jnp.where(beyond, to_all, jnp.inf).min(axis=-1)
    farthest = jnp.where(foreign, to_all, -jnp.inf).max(axis=-1)
    negative = jnp.where(beyond.any(axis=-1), nearest, farthest)
    negative = jnp.where(foreign.any(axis=-1), negative, jnp.inf)
    pair = 1 - jnp.eye(num_views)
    term = jnp.maximum(to_own - negative + margin, 0) * pair
    return term.sum((1, 2)), ((term > 0) * pair).sum((1, 2))

  terms, active = parallel.over_rows(local, (u, image), (u, image))
  pairs = num_images * num_views * (num_views - 1)
  return terms.sum() / pairs, active.sum() / pairs


def _squared_norm(x):
  return jnp.sum(x * x, axis=-1)
