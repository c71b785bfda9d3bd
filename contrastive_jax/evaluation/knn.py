"""Nearest neighbours: how well a representation tells classes apart, with nothing trained.

Weighted vote of InstDisc (Wu et al., CVPR 2018, section 3.4): class c of a query scores the sum of
exp(s_i / temperature) over those of its k nearest examples of the bank that have class c. Results
of different k, temperature or distance are not comparable.

Each device compares all queries with its own rows of the bank, block after block, and keeps the k
best of each; then each query's k best of all devices are merged. So memory holds one block and one
tile of similarities, not the whole matrix, and no process needs the whole bank.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Int

from contrastive_jax import errors, limits, parallel, plural
from contrastive_jax.evaluation import features, own_rows
from contrastive_jax.evaluation import scores as scores_lib
from contrastive_jax.evaluation.own_rows import OwnRows
from contrastive_jax.options import option

DISTANCES = ("cosine", "euclidean")
VOTES = ("weighted", "uniform")

_BLOCK = 16384  # rows of the bank on a device at a time
_TILE = 512  # queries whose similarities to a block exist at a time: 32 MiB
_NOWHERE = np.int32(2**31 - 1)  # in the bank: what fills a block
_QUERIES = 65536  # on every device at a time; for more of them the bank passes by again


@dataclasses.dataclass(frozen=True)
class Options:
  """How neighbours vote. InstDisc: k 200, temperature 0.07; DINO: k 20."""

  k: int = option(20, "neighbours that vote")
  temperature: float = option(0.07, "of the weights exp(s / temperature)")
  distance: str = option("cosine", f"between examples: {' or '.join(DISTANCES)}")
  vote: str = option("weighted", f"{' or '.join(VOTES)} (each neighbour counts 1)")

  def __post_init__(self):
    if self.k < 1:
      raise errors.UserError(f"knn.k {self.k} is below 1; use e.g. 20")
    limits.check_votes("knn.temperature", self.temperature)
    for field, allowed in (("distance", DISTANCES), ("vote", VOTES)):
      value = getattr(self, field)
      if value not in allowed:
        raise errors.UserError(f'knn.{field} "{value}" is unknown; use {" or ".join(allowed)}')

  def check(self, num_images: int, num_devices: int = 1) -> None:
    """Raises `UserError` if a bank of so many images has no k neighbours."""
    del num_devices
    if self.k > num_images:
      raise errors.UserError(
        f"knn.k {self.k} exceeds the bank of {plural.of(num_images, 'example')}; use "
        f"{num_images} or less"
      )

  def describe(self) -> str:
    """Returns what a result depends on, in a few words."""
    tau = f", tau {self.temperature:g}" if self.vote == "weighted" else ", uniform vote"
    return f"k {self.k}{tau}, {self.distance}"


def accuracy(
  train_features: Float[np.ndarray, "n F"] | OwnRows,
  train_labels: Int[np.ndarray, " n"],
  test_features: Float[np.ndarray, "m F"] | OwnRows,
  test_labels: Int[np.ndarray, " m"],
  num_classes: int,
  *,
  mesh: Mesh | None = None,
  **options: Any,
) -> dict[str, float]:
  """Returns {"top1", "top5"} in [0, 1] of the vote of `train` on `test`; see `evaluate`.

  `options` are fields of `Options`.
  """
  found = evaluate(
    train_features, train_labels, test_features, test_labels, num_classes, Options(**options), mesh
  )
  return {"top1": found.top1, "top5": found.top5}


def evaluate(
  train_features: Float[np.ndarray, "n F"] | OwnRows,
  train_labels: Int[np.ndarray, " n"],
  test_features: Float[np.ndarray, "m F"] | OwnRows,
  test_labels: Int[np.ndarray, " m"],
  num_classes: int,
  options: Options,
  mesh: Mesh | None = None,
  progress: Callable[[int, int], None] | None = None,
) -> scores_lib.Scores:
  """Lets the bank `train` vote on every example of `test`.

  The similarity s is the cosine, or minus half the squared distance (the same up to a constant for
  vectors of length 1). Among equally near examples the earlier is nearer. A class that none of the
  k votes for is not predicted, so where fewer than five get a vote, top-5 counts only those.

  Args:
    train_features, test_features: as they are; "cosine" scales them to unit length itself.
    train_labels, test_labels: 0..num_classes - 1, of all rows on every process.
    mesh: devices that share the bank; None: those in use, or all.
    progress: is told to how many of the bank the queries were compared, and how many there are.

  Raises:
    UserError: k exceeds the bank, a label is out of range, or a feature is not finite.
  """
  _check(train_labels, test_labels, num_classes, options)
  features.check_finite(train_features, "train features")
  features.check_finite(test_features, "test features")
  mesh = mesh or parallel.default_mesh()
  bank, queries = OwnRows.of(train_features), OwnRows.of(test_features)
  prepare = _unit if options.distance == "cosine" else _around(own_rows.mean(bank))
  compare = functools.partial(_nearest, bank, train_labels, options=options, prepare=prepare)
  done, total = 0, len(bank) * -(-len(queries) // _QUERIES)
  ranks = []
  with parallel.use(mesh):
    for start in range(0, len(queries), _QUERIES):
      some = range(start, min(start + _QUERIES, len(queries)))
      tile = min(_TILE, -(-len(some) // mesh.size))
      put = queries.put(some, mesh, ((test_labels.astype(np.int32), 0),), prepare, tile)
      told = progress and functools.partial(_told, progress, done, total)
      best = compare(put.rows, mesh, tile=tile, progress=told)
      rank = _vote(best, *put.columns, options=options, num_classes=num_classes, tile=tile)
      ranks.append(parallel.fetch(rank)[put.slot])
      done += len(bank)
  return scores_lib.summarize(np.concatenate(ranks), np.asarray(test_labels), num_classes)


def _told(progress, before, total, done):
  progress(before + done, total)


def _nearest(bank, labels, queries, mesh, *, options, prepare, tile, progress):
  """Returns what each device finds for all queries: similarity, label, place [devices m, k]."""
  queries = _everywhere(queries)
  best = _nothing_yet(mesh.size, len(queries), options.k)
  columns = ((np.asarray(labels, np.int32), -1), (np.arange(len(bank), dtype=np.int32), _NOWHERE))
  blocks = -(-len(bank) // (_BLOCK * mesh.size))
  size = -(-len(bank) // blocks)  # alike, so that hardly a row of any fills it up
  each = -(-size // mesh.size)
  for start in range(0, len(bank), size):
    block = bank.put(
      range(start, min(start + size, len(bank))), mesh, columns, prepare, at_least=each
    )
    best = _nearer(best, (block.rows, *block.columns), queries, options=options, tile=tile)
    jax.block_until_ready(best)  # or all blocks would wait on the devices at once
    if progress:
      progress(min(start + size, len(bank)))
  return best


def _check(train_labels, test_labels, num_classes, options):
  options.check(len(train_labels))
  if not len(test_labels):
    raise errors.UserError("there are 0 test examples to vote on; give at least 1")
  for name, labels in (("train", train_labels), ("test", test_labels)):
    low, high = int(np.min(labels)), int(np.max(labels))
    if low < 0 or high >= num_classes:
      raise errors.UserError(
        f"{name} labels {low}..{high} are outside 0..{num_classes - 1}; leave the others out"
      )


def _unit(x):
  x = np.asarray(x, np.float32)
  return x / np.sqrt(np.einsum("nf,nf->n", x, x) + 1e-12)[:, None]


def _around(mean):
  """Distances do not see a shift of everything, but float32 products of large numbers do."""
  mean = mean.astype(np.float32)
  return lambda x: np.asarray(x, np.float32) - mean


_everywhere = jax.jit(parallel.gather)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _nothing_yet(devices, num_queries, k):
  shape = (devices * num_queries, k)
  nearest = jnp.full(shape, -jnp.inf), jnp.full(shape, -1), jnp.full(shape, _NOWHERE)
  return jax.tree.map(parallel.scatter, nearest)


@functools.partial(jax.jit, static_argnames=("options", "tile"), donate_argnums=0)
def _nearer(best, block, queries, *, options, tile):
  """Merges a block of each device's rows into the k nearest that it has for each query."""

  def local(rows, queries):
    *best, bank, label, place = rows
    shift = jnp.sum(bank * bank, axis=-1) / 2 if options.distance == "euclidean" else 0.0
    shift = jnp.where(label < 0, jnp.inf, shift)

    def one_tile(xs):
      s, kept, places, q = xs
      new = jnp.matmul(q, bank.T, precision=jax.lax.Precision.HIGHEST) - shift
      # Once the k so far stand in front, few of a block pass the last of them: on a CPU the search
      # takes two thirds of the time of one of the block alone. What is earlier wins ties.
      s, order = jax.lax.top_k(jnp.concatenate([s, new], axis=-1), options.k)
      old, where = jnp.minimum(order, options.k - 1), jnp.maximum(order - options.k, 0)

      def chosen(kept, new):
        return jnp.where(order < options.k, jnp.take_along_axis(kept, old, axis=-1), new[where])

      return s, chosen(kept, label), chosen(places, place)

    return _by_tiles(one_tile, (*best, queries), tile)

  return parallel.over_rows(local, (*best, *block), queries)


@functools.partial(jax.jit, static_argnames=("options", "num_classes", "tile"))
def _vote(best, label, *, options, num_classes, tile):
  """Returns the rank of each query's label [m], on every device, from what each device found."""

  def local(rows, _):
    *best, label = rows

    def one_tile(xs):
      *best, label = xs
      s, voters = _merged(*best, options.k)
      log_weight = s / options.temperature if options.vote == "weighted" else jnp.zeros_like(s)
      log_score = _log_scores(log_weight, voters, num_classes)
      return scores_lib.ranks(log_score, label)  # last, if nobody voted for the label

    return _by_tiles(one_tile, (*map(_of_own_queries, best), label), tile)

  return parallel.gather(parallel.over_rows(local, (*best, label), ()))


def _log_scores(log_weight, voters, num_classes):
  """Returns the log of the sum of weights of each class [m, C], -inf where nobody votes.

  Weights are relative to the largest of their class: none is too large or too small.
  """

  def over_neighbours(combine, start, values):
    def one(total, xs):
      value, voter = xs
      chosen = voter[:, None] == jnp.arange(num_classes)
      return combine(total, jnp.where(chosen, value[:, None], start)), None

    nothing = jnp.where(jnp.zeros(num_classes, bool), log_weight[:, :1], start)
    return jax.lax.scan(one, nothing, (values.T, voters.T))[0]

  largest = over_neighbours(jnp.maximum, -jnp.inf, log_weight)
  weight = jnp.exp(log_weight - jnp.take_along_axis(largest, voters, axis=-1))
  return largest + jnp.log(over_neighbours(jnp.add, 0.0, weight))


def _of_own_queries(x):
  """Sends what each device found for all queries to where they lie: [m, k] to [m / D, D k]."""
  x = parallel.exchange(x)  # [D, m / D, k]
  return x.swapaxes(0, 1).reshape(x.shape[1], -1)


def _merged(s, label, place, k):
  """Returns similarity and label of the k nearest; of equally near ones the first in the bank."""
  s, place, label = jax.lax.sort((-s, place, label), num_keys=2)
  return -s[:, :k], label[:, :k]


def _by_tiles(f, rows, tile):
  """Calls f on `tile` rows at a time, one after the other."""
  cut = jax.tree.map(lambda x: x.reshape(-1, tile, *x.shape[1:]), rows)
  return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), jax.lax.map(f, cut))
