"""NNCLR: Dwibedi et al., "With a Little Help from My Friends" (ICCV 2021).

The positive of a view's prediction is not the other view but that view's nearest neighbour in a
queue of embeddings of earlier images; the negatives are the other images' predictions. Each view
has its own batch statistics.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from contrastive_jax import losses, parallel
from contrastive_jax.losses import memory as memory_lib
from contrastive_jax.losses import similarity
from contrastive_jax.methods import base
from contrastive_jax.models import heads, norm
from contrastive_jax.models.network import Head, Network
from contrastive_jax.options import check_scale, option

_LEAST_TILE = 128  # keys; products with fewer leave a device idle


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of NNCLR; the defaults are the paper's for ImageNet, recalled."""

  temperature: float = option(0.1, "tau: divides the cosine similarities")
  queue_size: int = option(98_304, "embeddings remembered, batch_size or more")
  head_width: int = option(2048, "width of the projector's two hidden layers")
  embedding_size: int = option(256, "D: size of z and p")
  predictor_width: int = option(4096, "hidden width of the predictor")
  loss_impl: str = option("auto", similarity.OPTION, identity=False)

  tables = ("queue",)

  def __post_init__(self):
    check_scale("method.temperature", self.temperature, "the paper uses 0.1")
    similarity.check("method.loss_impl", self.loss_impl)

  def network(self, backbone):
    backbone = backbone.clone(bn_views=2)
    options = {"weight_init": backbone.weight_init, **norm.options(backbone)}
    projector = heads.MLP(
      (self.head_width, self.head_width), self.embedding_size, last_bn="affine", **options
    )
    predictor = heads.MLP((self.predictor_width,), self.embedding_size, out_bias=True, **options)
    return Network(backbone, (Head("z", projector), Head("p", predictor, "z")))

  def init_memory(self, net, variables, task, key):
    memory_lib.check_queue("method.queue_size", self.queue_size, task.batch_size)
    return {"queue": memory_lib.queue(key, self.queue_size, self.embedding_size)}

  def chance(self, task, num_views):
    del num_views
    return math.log(task.batch_size)

  def loss(self, net, params, stats, memory, batch, key):
    ends, stats = base.forward(net, params, stats, batch["views"])
    z, p = losses.l2_normalize(ends["z"]), losses.l2_normalize(ends["p"])
    nn = nearest(z, memory["queue"]["keys"])
    image = base.image_ids(batch)

    def ce(nn, p):
      return losses.infonce(nn, p, p, self.temperature, image, image, implementation=self.loss_impl)

    results = ce(nn[:, 0], p[:, 1]), ce(nn[:, 1], p[:, 0])
    loss, metrics = jax.tree.map(lambda a, b: (a + b) / 2, *results)
    same = jnp.sum(jax.lax.stop_gradient(z) * nn, axis=-1)
    metrics["neighbour_cosine"] = jnp.mean(same)
    return loss, base.Aux(stats, metrics, {"h": ends["h"], "z": ends["z"]}, z[:, 0])

  def update_memory(self, memory, params, carry, progress):
    return {"queue": memory_lib.enqueue(memory["queue"], carry)}


def nearest(
  z: Float[Array, "B V D"], keys: Float[Array, "K D"], tile: int = 1024
) -> Float[Array, "B V D"]:
  """Returns the row of `keys` most similar to each unit vector; no gradient passes.

  Where a device has but a part of the keys it compares all vectors with its own rows, and the best
  of all devices is taken: of equals the first, as ever.
  """
  z, keys = jax.lax.stop_gradient((z, keys))
  rows = parallel.as_rows(keys)
  if not parallel.is_sharded(rows):
    return parallel.look_up(keys, _best(z, rows, tile)[1])

  def local(own, z):
    rows, ids = own
    # Of all vectors against fewer keys: as many similarities at a time as of its own against more.
    top, number = _best(z, rows, max(_LEAST_TILE, tile // parallel.num_devices()))
    # [devices, B / devices, V]
    top, number = parallel.exchange(top), parallel.exchange(ids[number])
    return jnp.take_along_axis(number, jnp.argmax(top, axis=0)[None], axis=0)[0]

  number = parallel.over_rows(local, (rows, parallel.row_ids(len(rows))), z)
  return parallel.look_up(keys, number)


def _best(z, keys, tile):
  """Returns the largest similarity of each vector, and the number of its key.

  Goes over `tile` keys at a time: all similarities of a batch of 4096 would take 3 GB.
  """
  tile = min(tile, len(keys))

  def better(best, start):
    some = jax.lax.dynamic_slice_in_dim(keys, start, tile)
    s = jnp.einsum("bvd,kd->bvk", z, some, precision="highest")
    top, number = s.max(axis=-1), start + jnp.argmax(s, axis=-1).astype(jnp.int32)
    larger = top > best[0]
    return (jnp.where(larger, top, best[0]), jnp.where(larger, number, best[1])), None

  # The last tile is whole too: it begins among the keys of the one before.
  starts = np.minimum(np.arange(0, len(keys), tile, dtype=np.int32), len(keys) - tile)
  none = z[..., 0] * 0
  return jax.lax.scan(better, (none - jnp.inf, none.astype(jnp.int32)), starts)[0]
