"""Batches as a pure function of the step: a run can go on anywhere, on any number of processes.

Epoch e visits the images in the order of (seed, e), see `order`; step t takes the t-th slice, and
process p of P the p-th contiguous part of that slice, so the global batch is the same for every P.
There is no iterator state to save. Steps are run ahead in threads, by Grain, or in worker
processes, which import this and do without JAX: 35 MB and 0.4 s each in place of 194 MB and 3.4 s.
"""

import dataclasses
import functools
import math
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from contrastive_jax import errors, plural
from contrastive_jax.data import Source, order, workers
from contrastive_jax.data.store import Batch, Store, empty
from contrastive_jax.hiding import hidden

_STEPS_AHEAD = 2  # batches made in advance; each may be gigabytes of pixels


def this_process() -> dict[str, int]:
  """Returns process_index and process_count of this process, as keyword arguments."""
  import jax

  return {"process_index": jax.process_index(), "process_count": jax.process_count()}


def steps_per_epoch(num_images: int, batch_size: int, key: str = "batch_size") -> int:
  """Returns the number of full batches in an epoch. Raises UserError, with `key`, if none is."""
  if batch_size < 1:
    raise errors.UserError(f"{key} {batch_size} is below 1; use 1 or more")
  if num_images < batch_size:
    raise errors.UserError(
      f"{key} {batch_size} exceeds the {plural.of(num_images, 'image')} of the set;"
      f" use {num_images} or less, or more images"
    )
  return num_images // batch_size


def positions(
  step: int,
  *,
  num_images: int,
  batch_size: int,
  seed: int,
  part: slice = slice(None),
  name: str = order.NEWEST,
) -> np.ndarray:
  """Returns which images make the global batch of a step: int64 [batch_size].

  Within an epoch no image comes twice; those of the last, partial batch are left out that time.

  Args:
    step: of the run.
    num_images: of the set.
    batch_size: of the global batch.
    seed: of the order.
    part: of the batch, which alone is computed.
    name: of the order, see `order.NAMES`.
  """
  epoch, step_in_epoch = divmod(step, steps_per_epoch(num_images, batch_size))
  first, last, _ = part.indices(batch_size)
  start = step_in_epoch * batch_size
  return order.at(
    start + first, start + last, num_images=num_images, seed=seed, epoch=epoch, name=name
  )


@dataclasses.dataclass(frozen=True)
class Batches:
  """Host batches of the steps start..stop; every `iter()` begins at start and may be dropped."""

  load: "Load"
  start: int
  stop: int
  num_workers: int = 0

  def __len__(self) -> int:
    return self.stop - self.start

  def describe(self) -> str:
    """Returns how much memory the batches of this process may take, for the log."""
    one = sum(dtype.itemsize * math.prod(shape) for dtype, shape in self.load.form.values())
    count = _STEPS_AHEAD + 1
    return (
      f"batches of each process take up to {count * one / 1e6:,.1f} MB of host memory, whatever "
      f"data.num_workers is: one of {self.load.rows:,} images in use, {_STEPS_AHEAD} ahead"
    )

  def __iter__(self) -> Iterator[Batch]:
    if self.num_workers:
      return workers.batches(self.load, self.start, self.stop, self.num_workers, _STEPS_AHEAD)
    return self._in_threads()

  def _in_threads(self) -> Iterator[Batch]:
    with hidden("orbax.checkpoint"):  # with which iterators can be saved
      import grain

    read = grain.ReadOptions(num_threads=_STEPS_AHEAD, prefetch_buffer_size=_STEPS_AHEAD)
    steps = grain.MapDataset.range(self.start, self.stop).map(self.load).to_iter_dataset(read)
    iterator = iter(steps)
    try:
      yield from iterator
    finally:
      iterator.close()


def train_batches(
  source: Source,
  *,
  batch_size: int,
  seed: int,
  start_step: int = 0,
  total_steps: int | None = None,
  process_index: int = 0,
  process_count: int = 1,
  list_unreadable: str | None = None,
  order_name: str = order.NEWEST,
  uneven: bool = False,
  **decoding: Any,
) -> Batches:
  """Returns the shuffled batches of steps start_step..total_steps.

  Args:
    source: the training images.
    batch_size: of the global batch.
    seed: of the order.
    start_step: 0, or the step of the checkpoint that the run goes on from.
    total_steps: of the run from its beginning; None: without end.
    process_index: of the part to load.
    process_count: number of equal parts.
    list_unreadable: path of a file that lists unreadable images, see `unreadable.Told`.
    order_name: one of `order.NAMES`.
    uneven: whether parts may differ: the first processes have ceil(batch_size / process_count)
      images each, one has the rest and those after it none; who asks for it fills them up.
    **decoding: fields of `Decoding`. The side S of the canvas is 512 if it is unset and the images
      have no common one; each process decodes in so many threads, none if all is in memory.

  Returns:
    An iterable of dicts for b = batch_size / process_count images: image uint8 [b, S, S, 3] with
    the image in the top-left corner, extent int32 [b, 2] its height and width there, label int32
    [b] (-1: none), index int32 [b], mask bool [b] (all True), replaced int32 [b] (1: an unreadable
    image's neighbour).

  Raises:
    UserError: a value that cannot work.
  """
  rounded = batch_size + (-batch_size % process_count if uneven else 0)
  b = _local_batch_size(rounded, process_index, process_count)
  steps_per_epoch(len(source), batch_size)
  if seed < 0:
    raise errors.UserError(f"seed {seed} is negative; use 0 or more")
  store = Store(source, list_unreadable, **decoding)
  part = range(batch_size)[process_index * b : (process_index + 1) * b]
  chosen = functools.partial(_train_rows, len(store), batch_size, seed, part.start, order_name)
  load = Load(store, len(part), chosen)
  stop = sys.maxsize if total_steps is None else total_steps
  return Batches(load, start_step, max(start_step, stop), store.num_workers)


def eval_batches(
  source: Source,
  *,
  batch_size: int,
  process_index: int = 0,
  process_count: int = 1,
  key: str = "batch_size",
  list_unreadable: str | None = None,
  **decoding: Any,
) -> Batches:
  """Returns every image exactly once, in order, as many batches on each process.

  The last batch is padded: mask False, label and index -1, a black image of full extent. Arguments,
  the other fields and errors are those of `train_batches`, but `batch_size` is rounded up to a
  multiple of `process_count`: nothing depends on it. Errors call it by its `key`.
  """
  if batch_size < 1:
    raise errors.UserError(f"{key} {batch_size} is below 1; use 1 or more")
  batch_size += -batch_size % process_count
  b = _local_batch_size(batch_size, process_index, process_count)
  store = Store(source, list_unreadable, **decoding)
  load = Load(store, b, functools.partial(_eval_rows, len(store), batch_size, process_index * b))
  return Batches(load, 0, -(-len(source) // batch_size), store.num_workers)


@dataclasses.dataclass(frozen=True)
class Load:
  """Makes this process's part of the batch of a step, whole or some rows of it."""

  store: Store
  rows: int
  chosen: Callable[
    [int, int, int], np.ndarray
  ]  # step, first and last row -> positions in the source

  @property
  def form(self) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
    """Type and shape of each array."""
    return {**self.store.form(self.rows), "mask": (np.dtype(bool), (self.rows,))}

  def __call__(self, step: int) -> Batch:
    """Returns the whole part."""
    batch = empty(self.form)
    self.fill(step, 0, self.rows, batch)
    return batch

  def fill(self, step: int, start: int, stop: int, batch: Batch) -> None:
    """Writes the rows start..stop; where `chosen` gives fewer positions the rest is padding."""
    positions = self.chosen(step, start, stop)
    end = start + len(positions)
    rows = {key: values[start:end] for key, values in batch.items()}
    rows.pop("mask")[...] = True
    self.store.load(positions, rows)
    for key, value in (("extent", self.store.size_px), ("label", -1), ("index", -1)):
      batch[key][end:stop] = value


def _train_rows(
  n: int, batch_size: int, seed: int, offset: int, order_name: str, step: int, start: int, stop: int
) -> np.ndarray:
  part = slice(offset + start, offset + stop)
  return positions(step, num_images=n, batch_size=batch_size, seed=seed, part=part, name=order_name)


def _eval_rows(
  n: int, batch_size: int, offset: int, step: int, start: int, stop: int
) -> np.ndarray:
  first = step * batch_size + offset
  return np.arange(min(first + start, n), min(first + stop, n))


def _local_batch_size(batch_size: int, process_index: int, process_count: int) -> int:
  if not 0 <= process_index < process_count:
    raise errors.UserError(
      f"process_index {process_index} is outside 0..{process_count - 1}; check process_count"
    )
  if batch_size < 1 or batch_size % process_count:
    near = max(1, batch_size // process_count) * process_count
    raise errors.UserError(
      f"batch_size {batch_size} is not divisible by {process_count} processes;"
      f" use {near} or {near + process_count}"
    )
  return batch_size // process_count
