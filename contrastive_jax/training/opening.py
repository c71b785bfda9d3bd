"""What a run begins with: its config, its workdir and its images, checked before anything is made.

The same on every process: where one alone has a mistake, all end with its words.
"""

import contextlib

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from contrastive_jax import config as config_lib
from contrastive_jax import data, errors, parallel, reading, run_images
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.data import given, identity, pixel_range
from contrastive_jax.processes import agree
from contrastive_jax.workdir import checkpoint_files


def checked(
  config: ConfigDict,
  workdir: str,
  devices: list[jax.Device] | None,
  images: given.Images | None = None,
) -> tuple[Mesh, data.Source, data.Source | None, identity.Identity]:
  """Returns devices and images of a run that may begin, the same on every process.

  The images are those trained on, those held out, and the identity of the former; `images` are
  those of the source "given".
  """
  with agree.mistakes_shared():
    workdir_lib.check(workdir, config)
    mesh = parallel.make_mesh(devices)
  source, held_out = run_images.in_turn(lambda: _opened(config, workdir, images))
  with agree.mistakes_shared():
    image_set = reading.patiently("the training set", lambda: identity.of(source))
    facts = _facts(config, source, held_out) if jax.process_count() > 1 else {}
  agree.check_equal(facts)
  return mesh, source, held_out, image_set


def with_value_range(config: ConfigDict, source: data.Source) -> ConfigDict:
  """Returns the config with the range of the training images' values, where none is given.

  It stays () where pixels have 8 bits. The same on every process.
  """
  if config.data.value_range:
    return config
  with agree.mistakes_shared():
    found = pixel_range.of(source)
  if not found:
    return config
  config = config.copy_and_resolve_references()
  config.data.value_range = found
  return config


def scored(
  config: ConfigDict, source: data.Source, images: given.Images | None = None
) -> data.Source | None:
  """Opens the split that an evaluation will score; None: it cannot be, there may be none yet.

  Warns of test images that are trained on, before an evaluation would: then it is too late.
  """
  with contextlib.suppress(errors.UserError, errors.ReadFailed):
    found = run_images.in_turn(lambda: run_images.source(config, config.data.eval_split, images))
    run_images.warn_if_scored_on_itself(config, source, found)
    return found
  return None


def _opened(
  config: ConfigDict, workdir: str, images: given.Images | None
) -> tuple[data.Source, data.Source | None]:
  """As `run_images.training_set`. A run that has had its own may have it again: `ReadFailed`."""
  try:
    return run_images.training_set(config, images)
  except errors.Absent as error:
    if not checkpoint_files.any_in(checkpoint_files.root(workdir)):
      raise
    raise errors.ReadFailed(
      f"{error} (the run had its images: if their disk is away, the same command goes on once it "
      "is back)"
    ) from error


def _facts(
  config: ConfigDict, source: data.Source, held_out: data.Source | None
) -> dict[str, object]:
  """What must be the same on every process."""
  facts = {f"config.{key}": value for key, value in config_lib.flatten(config).items()}
  facts |= workdir_lib.versions() | identity.facts("training", source)
  return facts | (identity.facts("held-out", held_out) if held_out else {})
