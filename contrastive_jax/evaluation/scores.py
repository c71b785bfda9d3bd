"""How predictions are counted: top-1, top-5 and per class, the same for every probe."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, PyTree

from contrastive_jax import parallel
from contrastive_jax.evaluation import features
from contrastive_jax.evaluation.own_rows import OwnRows

_CHUNK = 8192  # rows whose logits exist at a time


class Scores(NamedTuple):
  """Shares in [0, 1] of the scored examples."""

  top1: float
  top5: float
  per_class: tuple[float | None, ...]  # top-1 of each class; None: the class has no example

  @property
  def mean_per_class(self) -> float:
    """Mean of the classes' top-1: what unbalanced sets are scored by."""
    return float(np.mean([share for share in self.per_class if share is not None]))


def ranks(scores: Float[Array, "N C"], label: Int[Array, " N"]) -> Int[Array, " N"]:
  """Returns how many classes stand before the true one; 0 is a hit.

  Of equal scores the lower class stands first, as for argmax. NaN never helps: a class that scores
  NaN stands before the true one, and a true class without a finite score stands last.
  """
  classes = jnp.arange(scores.shape[-1])
  own = label[:, None] == classes
  score = jnp.sum(jnp.where(own, scores, 0.0), axis=-1, keepdims=True)
  before = ~(scores <= score) | ((scores == score) & (classes < label[:, None]))
  rank = jnp.sum(before & ~own, axis=-1)
  return jnp.where(jnp.isfinite(score[:, 0]), rank, scores.shape[-1])


def summarize(
  rank: Int[np.ndarray, " n"], label: Int[np.ndarray, " n"], num_classes: int
) -> Scores:
  """Counts ranks (see `ranks`) of examples whose labels are 0..num_classes - 1."""
  hit = rank == 0
  count = np.bincount(label, minlength=num_classes)
  hits = np.bincount(label, weights=hit, minlength=num_classes)
  per_class = tuple(float(h / c) if c else None for h, c in zip(hits, count, strict=True))
  return Scores(float(np.mean(hit)), float(np.mean(rank < 5)), per_class)


def of_linear(
  kernel: Float[np.ndarray, "F C"],
  bias: Float[np.ndarray, " C"],
  x: Float[np.ndarray, "n F"] | OwnRows,
  label: Int[np.ndarray, " n"],
  mesh: Mesh,
  among: Int[np.ndarray, " m"] | None = None,
) -> Scores:
  """Scores the linear classifier `x @ kernel + bias` on the rows `among`, or on all.

  Raises:
    UserError: `x` is not finite.
  """
  return of_classifier(_linear, (kernel, bias), x, label, len(bias), mesh, among)


def of_classifier(
  logits: Callable[[PyTree, Float[Array, "n F"]], Float[Array, "n C"]],
  weights: PyTree,
  x: Float[np.ndarray, "n F"] | OwnRows,
  label: Int[np.ndarray, " n"],
  num_classes: int,
  mesh: Mesh,
  among: Int[np.ndarray, " m"] | None = None,
) -> Scores:
  """Scores `logits(weights, x)`, a function that is traced, as `of_linear`."""
  features.check_finite(x, "features")
  x, rank = OwnRows.of(x), []
  count = len(x) if among is None else len(among)
  with parallel.use(mesh):
    weights = parallel.replicate(weights, mesh)
    for start in range(0, count, _CHUNK):
      chosen = range(start, min(start + _CHUNK, count))
      put = x.put(chosen if among is None else among[chosen], mesh, ((label, 0),))
      rank.append(parallel.fetch(_ranks(logits, weights, put.rows, *put.columns))[put.slot])
  label = label if among is None else label[among]
  return summarize(np.concatenate(rank), label, num_classes)


def _linear(classifier, x):
  kernel, bias = classifier
  return jnp.matmul(x, kernel, precision=jax.lax.Precision.HIGHEST) + bias


@functools.partial(jax.jit, static_argnums=0)
def _ranks(logits, weights, x, label):
  return parallel.gather(ranks(logits(weights, x), label))
