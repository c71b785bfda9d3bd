"""Batches to train a classifier on: how many, and with a key for the views of each epoch."""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, PRNGKeyArray

from contrastive_jax import keys, parallel, plural
from contrastive_jax.data import Source, pipeline

# Below, a probe stops short: 500 examples of 64 standardised features in ten classes gave 55 %
# after 90 steps of 256 and 65 % after 1,000 (docs/evaluation.md).
FEW_STEPS = 500
_BATCH = 256  # of which steps are counted

# A step on features that are there is shorter than the time to start it: many go in one program.
_STEPS_AT_ONCE, _BYTES_AT_ONCE = 64, 64 * 2**20

Options = TypeVar("Options")  # with batch_size, epochs and min_steps; perhaps step_epochs


def sized(options: Options, num_images: int, num_devices: int = 1) -> Options:
  """Returns the options with a batch that the set can fill and epochs enough for `min_steps`.

  Such a smaller batch divides over the devices; 1 where that need not be.

  A batch larger than 256 needs fewer steps, in proportion: published protocols with batches of
  4,096 and the labels of 1 % of ImageNet keep their epochs.
  """
  whole = num_images // num_devices * num_devices
  batch_size = min(options.batch_size, whole or options.batch_size)
  per_epoch = max(1, num_images // batch_size)
  needed = options.min_steps * _BATCH / max(_BATCH, batch_size)
  epochs = max(options.epochs, int(-(-needed // per_epoch)))
  changes = {"batch_size": batch_size, "epochs": epochs}
  if hasattr(options, "step_epochs"):
    changes["step_epochs"] = tuple(e * epochs // options.epochs for e in options.step_epochs)
  return dataclasses.replace(options, **changes)


def at_once(total: int, batch_size: int, num_features: int) -> int:
  """Returns how many of `total` steps go in one program; without a rest where half would do.

  A rest is another program to compile.
  """
  most = max(1, min(_STEPS_AT_ONCE, _BYTES_AT_ONCE // (4 * batch_size * num_features)))
  return next((count for count in range(most, most // 2, -1) if total % count == 0), most)


def too_few(options: Options, num_images: int, section: str) -> str | None:
  """Returns the line that warns of a training, of options that are `sized`, that is too short."""
  steps = max(1, num_images // options.batch_size) * options.epochs
  if steps * max(1, options.batch_size / _BATCH) >= FEW_STEPS:
    return None
  return (
    f"warning: {section} takes {plural.of(steps, 'step')} in all, so its figure says little of "
    "the features; "
    f"set {section}.min_steps={2 * FEW_STEPS}"
  )


def check(options: Options, num_images: int, num_parts: int, key: str) -> None:
  """Raises `UserError`, with the `key` of the batch size, where `make` would after `sized`.

  Args:
    options: of the training.
    num_images: of the set.
    num_parts: devices over which a batch is to divide.
    key: of the batch size, in errors.
  """
  batch_size = sized(options, num_images, num_parts).batch_size
  parallel.check_batch_size(batch_size, num_parts, key)
  pipeline.steps_per_epoch(num_images, batch_size, key)


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
  fill: bool = False,
  pipeline_options: dict[str, Any] | None = None,
) -> ProbeBatches:
  """Returns the batches of `epochs` passes over `source`; errors call `batch_size` by its `key`.

  With `fill` what a batch lacks to a multiple of the devices is filled with images without a label,
  which do not count: any batch goes on any devices of any processes, with one result. Not where the
  images of a batch see each other, as through batch norm.

  Raises:
    UserError: the batch exceeds the set, or, without `fill`, does not divide over the devices.
  """
  parallel.check_batch_size(batch_size, 1 if fill else mesh.size, key)
  steps_per_epoch = pipeline.steps_per_epoch(len(source), batch_size, key)
  total_steps = steps_per_epoch * epochs
  host_batches = pipeline.train_batches(
    source,
    batch_size=batch_size,
    seed=seed,
    total_steps=total_steps,
    uneven=fill,
    **pipeline.this_process(),
    **(pipeline_options or {}),
  )
  views = keys.stream(seed, "probe views")
  devices = mesh.size // jax.process_count()
  most = -(-batch_size // jax.process_count())  # images of a process
  local = -(-most // devices) * devices

  def batches():
    for step, batch in enumerate(host_batches):
      rows = {k: batch[k] for k in ("image", "extent", "index", "label")}
      rows = _filled(rows, local)
      yield jax.random.fold_in(views, step // steps_per_epoch), parallel.put(rows, mesh)

  return ProbeBatches(steps_per_epoch, total_steps, batches())


def _filled(rows: dict[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
  """Returns `count` rows: these, and black images of full extent without a label."""
  missing = count - len(rows["label"])
  if not missing:
    return rows
  full = {k: np.pad(x, [(0, missing)] + [(0, 0)] * (x.ndim - 1)) for k, x in rows.items()}
  full["label"][-missing:] = -1
  full["extent"][-missing:] = rows["image"].shape[1]
  return full
