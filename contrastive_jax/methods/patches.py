"""Contrast between patches of one image: find the same patch in another view of the image.

The query is a patch of one view, its positive the same patch of the other view, and its negatives
are the other patches of that view. Two forms:

  patches      P patches, one in each cell of a grid, go through the network one by one; each view
               shows its own crop of the cell, mirrored or not, and no negative the query's pixels
  feature_map  points of a feature map (PatchNCE of CUT, Park et al., ECCV 2020; the dense half of
               DenseCL, Wang et al., CVPR 2021, with known positions): each view shows its own crop
               of the image, mirrored or not, and both maps are read at P points of the overlap

The two views of an image share the recipe's crop, flip and turn, so positions agree until the form
crops; colour, blur and the rest are drawn anew for each. Maps of uncropped views would have an easy
way out: padding tells a network where it is, and colour distortion leaves edges as they are. It was
taken, also with `cross_image`, where the patches of all other images are negatives too
(docs/results.md).
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from contrastive_jax import augment, errors, losses
from contrastive_jax.augment import cells, overlap
from contrastive_jax.losses import similarity
from contrastive_jax.methods import base
from contrastive_jax.models import heads, norm
from contrastive_jax.models.network import Head, Network
from contrastive_jax.options import check_scale, option

FORMS = ("patches", "feature_map")
_MIN_AREA = {"patches": 0.2, "feature_map": overlap.LEAST_AREA}
_TIE = 1e-4  # flat patches are equal but for rounding, which must not decide
_PLACING = ("crop", "flip", "rotate")  # operations that move pixels


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of contrast within an image."""

  form: str = option("patches", f"{' or '.join(FORMS)}: what a patch is")
  grid: int = option(3, "cells in a row, a patch in each; form feature_map: points in a row")
  min_area: float | None = option(
    None, "of a crop, as a fraction of its cell or view; unset: 0.2, form feature_map: 0.4"
  )
  layer: str | None = option(None, "form feature_map: endpoint read; unset: the last block")
  temperature: float = option(
    0.2, "tau (PatchNCE 0.07 has 255 negatives; with 8, a tau so small ignores all but the nearest)"
  )
  cross_image: bool = option(False, "patches of other images are negatives too")
  stop_keys: bool = option(False, "no gradient into positives and negatives (as PatchNCE)")
  head_width: int | None = option(None, "width of the head's hidden layer; unset: of its input")
  embedding_size: int = option(128, "D: size of a patch's z")
  loss_impl: str = option("auto", f"with cross_image: {similarity.OPTION}", identity=False)

  def __post_init__(self):
    if self.form not in FORMS:
      raise errors.UserError(f"method.form {self.form!r} is unknown; use {' or '.join(FORMS)}")
    if self.grid < 2:
      raise errors.UserError(f"method.grid {self.grid} leaves no negatives; use 2 or more")
    if self.min_area is not None and not 0 < self.min_area <= 1:
      raise errors.UserError(f"method.min_area {self.min_area} is outside (0, 1]; use e.g. 0.4")
    if self.form == "feature_map" and (self.min_area or 1) < overlap.LEAST_AREA:
      raise errors.UserError(
        f"method.min_area {self.min_area} lets the crops of two views miss one another; use "
        f"{overlap.LEAST_AREA} or more"
      )
    similarity.check("method.loss_impl", self.loss_impl)
    check_scale("method.temperature", self.temperature, "use e.g. 0.2")

  def network(self, backbone):
    g = heads.MLP(
      (self.head_width,),
      self.embedding_size,
      hidden_bias=True,
      out_bias=True,
      hidden_bn=False,
      weight_init=backbone.weight_init,
      **norm.options(backbone),
    )
    layer = "h"
    if self.form == "feature_map":
      stages = getattr(backbone, "stage_sizes", None)  # of a ResNet; a ViT has `depth` blocks
      layer = self.layer or f"block{len(stages) if stages else backbone.depth}"
    return Network(backbone, (Head("z", g, layer),))

  def link_views(self, params):
    """Gives both views of an image one place, so that position p shows the same in both."""
    a, b = params
    return a, b | {name: a[name] for name in _PLACING if name in a}

  def chance(self, task, num_views):
    del num_views
    of_images = task.batch_size if self.cross_image else 1
    return math.log(self.grid**2 * of_images)

  def loss(self, net, params, stats, memory, batch, key):
    del memory
    views, index = augment.made(batch["views"]), batch["index"]
    min_area = self.min_area or _MIN_AREA[self.form]
    if self.form == "patches":
      crops = [
        cells.crops(view_key, index, views[:, v], self.grid, min_area)
        for v, view_key in enumerate(jax.random.split(key))
      ]
      ends, stats = base.forward(net, params, stats, jnp.concatenate(crops, axis=1))
      z = ends["z"].reshape(len(views), 2, self.grid**2, -1)
    else:
      views, frames = overlap.crops(key, index, views, min_area)
      ends, stats = base.forward(net, params, stats, views)
      if ends["z"].shape[2] < 2:
        raise errors.UserError(
          "a feature map of one location has no negatives; read an earlier one with "
          "--config.method.layer=block1, or set --config.image_size_px higher"
        )
      z = overlap.read(ends["z"], frames, self.grid)
    loss, metrics = patch_contrast(
      losses.l2_normalize(z),
      self.temperature,
      base.image_ids(batch),
      cross_image=self.cross_image,
      stop_keys=self.stop_keys,
      implementation=self.loss_impl,
    )
    h = ends["h"].reshape(len(z), 2, -1, ends["h"].shape[-1]).mean(2)
    return loss, base.Aux(stats, metrics, {"h": h, "z": z.reshape(len(z), -1, z.shape[-1])})


def patch_contrast(
  u: Float[Array, "B 2 P D"],
  temperature: float,
  image: Int[Array, " B"] | None = None,
  *,
  cross_image: bool = False,
  stop_keys: bool = False,
  implementation: str = "auto",
) -> tuple[Float[Array, ""], dict[str, Array]]:
  """Computes InfoNCE of each patch over the P patches of the other view, mean of both directions.

  Args:
    u: unit vectors of the P patches of both views; equal positions are positives.
    temperature: tau, positive.
    image: of each row, see `losses.formulas`.
    cross_image: the other view's patches of all other images are negatives too.
    stop_keys: no gradient into the patches that are searched (PatchNCE's sg).
    implementation: see `similarity.row_stats`.

  Returns:
    The loss in nats, and the metric `contrastive_accuracy` (share of patches whose positive is more
    similar than every negative; 1/P by chance within an image).
  """
  num_images, _, num_patches, dim = u.shape
  image = losses.of_views(losses.images(u, image), num_patches)

  def one_way(q, k):
    if stop_keys:
      k = jax.lax.stop_gradient(k)
    s = jnp.einsum("bpd,bqd->bpq", q, k, precision="highest") / temperature
    positive = jnp.sum(q * k, axis=-1) / temperature
    total = jax.nn.logsumexp(s, axis=-1)
    top = jnp.max(jnp.where(jnp.eye(num_patches, dtype=bool), -jnp.inf, s), axis=-1)
    if cross_image:
      others = similarity.row_stats(
        q.reshape(-1, dim),
        k.reshape(-1, dim),
        image,
        image,
        temperature=temperature,
        implementation=implementation,
      )
      total = jnp.logaddexp(total, others.logsumexp.reshape(num_images, -1))
      top = jnp.maximum(top, others.top.reshape(num_images, -1))
    return jnp.mean(total - positive), jnp.mean(positive > top + _TIE)

  (ab, right_ab), (ba, right_ba) = one_way(u[:, 0], u[:, 1]), one_way(u[:, 1], u[:, 0])
  return (ab + ba) / 2, {"contrastive_accuracy": (right_ab + right_ba) / 2}
