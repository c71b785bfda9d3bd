"""Jigsaw: Noroozi and Favaro, "Unsupervised Learning of Visual Representations by Solving Jigsaw
Puzzles" (ECCV 2016), in the form of Kolesnikov et al. (CVPR 2019).

Nine patches of an image, shuffled by one of 100 permutations far from each other; from their nine
embeddings side by side an MLP says which permutation it was. Each image shows several.
"""

import dataclasses
import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from contrastive_jax import augment, errors, losses, parallel
from contrastive_jax.augment import cells
from contrastive_jax.methods import _puzzle, base
from contrastive_jax.models import heads
from contrastive_jax.models.network import Network
from contrastive_jax.options import option

PATCHES = 9


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of the jigsaw task."""

  num_views = 1

  num_permutations: int = option(100, "classes: permutations of maximal Hamming distance")
  shuffles: int = option(8, "permutations shown of each image (the original paper 16)")
  embedding_size: int = option(1000, "width of a patch's embedding")
  head_width: int = option(4096, "width of the hidden layer over all nine patches")
  dropout: float = option(0.5, "share of the hidden layer that is dropped")

  def __post_init__(self):
    if not 1 < self.num_permutations <= 1000:
      raise errors.UserError(
        f"method.num_permutations {self.num_permutations} is out of range; use 2 to 1000"
      )
    _puzzle.check_dropout(self.dropout)

  def network(self, backbone):
    embed = heads.MLP((), self.embedding_size, out_bias=True, weight_init=backbone.weight_init)
    return Network(
      backbone,
      _puzzle.heads_of_puzzle(backbone, self.head_width, self.num_permutations, PATCHES, embed),
    )

  def chance(self, task, num_views):
    del task, num_views
    return math.log(self.num_permutations)

  def loss(self, net, params, stats, memory, batch, key):
    del memory
    place_key, choice_key, dropout_key = jax.random.split(key, 3)
    index = batch["index"]
    patches = cells.cut(place_key, index, augment.made(batch["views"])[:, 0])
    ends, stats = base.forward(net, params, stats, patches)

    def choose(index):
      each = jax.random.fold_in(choice_key, index)
      return jax.random.randint(each, (self.shuffles,), 0, self.num_permutations)

    chosen = jax.vmap(choose)(index)  # [B, shuffles]
    order = parallel.look_up(jnp.asarray(permutations(self.num_permutations)), chosen)
    shown = side_by_side(ends["z"], order)
    logits, stats = _puzzle.solve(net, params, stats, shown, index, dropout_key, self.dropout)
    loss, accuracy = losses.cross_entropy(logits, chosen)
    return loss, base.Aux(stats, {"pretext_accuracy": accuracy}, {"h": ends["h"]})


def side_by_side(z: Float[Array, "B 9 D"], order: Int[Array, "B S 9"]) -> Float[Array, "B S E"]:
  """Returns the embeddings of each image in each of its S orders, joined: E = 9 D."""
  picked = jnp.einsum("bsij,bjd->bsid", jax.nn.one_hot(order, PATCHES), z, precision="highest")
  return picked.reshape(*picked.shape[:2], -1)


@functools.cache
def permutations(count: int) -> np.ndarray:
  """Returns int32 [count, 9], the identity first, then always the one that is farthest.

  Farthest: its least Hamming distance to those chosen is the largest, and among such, its mean
  distance; the first in lexicographic order if several are.
  """
  every = np.array(list(itertools.permutations(range(PATCHES))), np.int8)
  chosen = [0]
  least = np.full(len(every), PATCHES, np.int64)
  total = np.zeros(len(every), np.int64)
  while len(chosen) < count:
    distance = (every != every[chosen[-1]]).sum(axis=1)
    least, total = np.minimum(least, distance), total + distance
    chosen.append(int(np.argmax(least * (PATCHES * count + 1) + total)))
  return every[chosen].astype(np.int32)
