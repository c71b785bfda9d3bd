"""Features of the images of a split, some thousand at a time, from any image on.

They are those of an evaluation: the same program on the same batches, `features.collect`.
"""

import dataclasses
import itertools
import math
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import ConfigDict

from contrastive_jax import errors, parallel, reading, run_images
from contrastive_jax.buckets import address
from contrastive_jax.data import pipeline
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.evaluation import evaluate, features
from contrastive_jax.evaluation import images as eval_images
from contrastive_jax.evaluation.progress import Progress
from contrastive_jax.processes import agree
from contrastive_jax.workdir import loading

_ROWS, _BYTES = 4096, 64 * 2**20  # of a piece, at most


class Asked(NamedTuple):
  """An encoder and the images that it is to see."""

  config: ConfigDict  # resolved
  loaded: loading.Run
  split: eval_images.Split
  encoder: features.OfNet
  widths: dict[str, int]  # numbers of a row, by layer
  mesh: Mesh

  @property
  def batch_size(self) -> int:
    """Images of a batch over all processes, each of which has a part of equal size."""
    return self.config.batch_size + (-self.config.batch_size % jax.process_count())


def opened(
  config: ConfigDict,
  workdir: str,
  images: str,
  split: str,
  devices: list[jax.Device] | None = None,
) -> Asked:
  """Loads the weights and opens the images.

  Args:
    config: of an evaluation: layers, network, checkpoint, sizes and data.
    workdir: of the run, local or in a bucket.
    images: a folder; "config": those of the run, or what `config.data` puts in their place.
    split: "train" or "test".
    devices: all by default.

  Raises:
    UserError: something of these cannot work.
    ReadFailed: it cannot be read for now.
  """
  config = config.copy_and_resolve_references()
  if split not in ("train", "test"):
    raise errors.UserError(f"--split={split} is unknown; use train or test")
  if images != "config":
    _check_folder_alone(config, images)
    config.data.source, config.data.folder.path = "folder", images
  config, _ = eval_config.resolve(config)
  mesh = parallel.make_mesh(devices)
  with agree.mistakes_shared():
    if images != "config":
      _check_there(images)
    loaded = evaluate.load(workdir, config)
  found = run_images.in_turn(lambda: eval_images.one_split(config, loaded.config, split))
  encoder, size_px = evaluate.of_net(config, loaded), found.view.size_px
  channels = found.view.channels
  features.check_layers(encoder.net, loaded.params, loaded.stats, config.layers, size_px, channels)
  view = jax.ShapeDtypeStruct((1, size_px, size_px, channels), jnp.float32)
  shapes = jax.eval_shape(encoder, {"params": loaded.params, "stats": loaded.stats}, view)
  widths = {name: shapes[name].shape[1] for name in config.layers}
  return Asked(config, loaded, found, encoder, widths, mesh)


def _check_folder_alone(config: ConfigDict, images: str) -> None:
  if config.data.source not in ("", "folder") or config.data.folder.path:
    raise errors.UserError(
      f"--images={images} is a folder, and data.source or data.folder.path name images too; leave "
      "one of them out"
    )


def _check_there(images: str) -> None:
  path = pathlib.Path(images).expanduser()
  if not address.is_bucket(images) and not reading.is_folder(path):
    raise errors.UserError(
      f"--images={images}: there is no such folder; give one, or, for a table, an npz file or "
      "another source, --images=config and its config.data.source"
    )


def over(asked: Asked, start: int = 0) -> Iterator[features.Features]:
  """Yields the features of the images from `start`, which is a multiple of the batch size, on.

  All rows of a piece are on every process: they are few, and process 0 keeps them.
  """
  source, split = asked.split.source, asked.split
  batches = pipeline.eval_batches(
    source,
    batch_size=asked.config.batch_size,
    **pipeline.this_process(),
    **split.pipeline_options,
  )
  batches = dataclasses.replace(batches, start=start // asked.batch_size)
  rows = min(_ROWS, _BYTES // (4 * sum(asked.widths.values())))
  count = max(1, rows // asked.batch_size)
  shown = iter(Progress("features, batch").over(batches, len(batches)))
  with parallel.use(asked.mesh):
    variables = {"params": asked.loaded.params, "stats": asked.loaded.stats}
    variables = parallel.replicate(variables, asked.mesh)  # once for all pieces
  for _ in range(math.ceil(len(batches) / count)):
    piece = itertools.islice(shown, count)
    yield whole(features.collect(asked.encoder, variables, piece, view=split.view, mesh=asked.mesh))


def whole(found: features.Features) -> features.Features:
  """Returns features of which every process holds all rows."""
  return found._replace(layers={k: found.rows(k).whole() for k in found.layers}, owner=None)
