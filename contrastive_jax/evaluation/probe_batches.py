"""Batches to train a classifier on: shuffled, with a key for the views of each epoch."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh
from jaxtyping import Array, PRNGKeyArray

from contrastive_jax import keys, parallel
from contrastive_jax.data import Source, pipeline


class ProbeBatches(NamedTuple):
  """`batches` yields (key of the epoch, {"image", "extent", "index", "label"} on the devices)."""

  steps_per_epoch: int
  total_steps: int
  batches: Iterator[tuple[PRNGKeyArray, dict[str, Array]]]


def make(
  source: Source,
  *,
  batch_size: int,
  epochs: int,
  seed: int,
  mesh: Mesh,
  key: str,
  pipeline_options: dict[str, Any] | None = None,
) -> ProbeBatches:
  """Returns the batches of `epochs` passes over `source`; errors call `batch_size` by its `key`.

  Raises:
    UserError: the batch exceeds the set or does not divide over the devices of `mesh`.
  """
  parallel.check_batch_size(batch_size, mesh.size, key)
  steps_per_epoch = pipeline.steps_per_epoch(len(source), batch_size, key)
  total_steps = steps_per_epoch * epochs
  host_batches = pipeline.train_batches(
    source,
    batch_size=batch_size,
    seed=seed,
    total_steps=total_steps,
    **pipeline.this_process(),
    **(pipeline_options or {}),
  )
  views = keys.stream(seed, "probe views")

  def batches():
    for step, batch in enumerate(host_batches):
      rows = {k: batch[k] for k in ("image", "extent", "index", "label")}
      yield jax.random.fold_in(views, step // steps_per_epoch), parallel.put(rows, mesh)

  return ProbeBatches(steps_per_epoch, total_steps, batches())
