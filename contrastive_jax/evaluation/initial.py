"""Weights of a file, or of another run's backbone, as a run that can be scored.

There need not be a run at all: then the network follows from the weights, and the images from the
config of the evaluation. With a workdir its images are taken, and its views for evaluation.
"""

import logging

from ml_collections import ConfigDict

from contrastive_jax import config as config_lib
from contrastive_jax import errors, limits
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.augment import NORMALIZATIONS
from contrastive_jax.models import resnet
from contrastive_jax.weights import matching, start, tree
from contrastive_jax.workdir import loading

_VIEWS = "moco_v2"  # torchvision's resizing, whose filter PyTorch's projects share
_LARGE_PX = 224


def run(config: ConfigDict, workdir: str | None) -> loading.Run:
  """Returns the weights that `config.init` names, with the config of a run that has no head.

  Args:
    config: of the evaluation.
    workdir: of the run whose images are scored; None: `config.data` names them.

  Raises:
    UserError: the weights, or the images, cannot be had.
  """
  asked = config.init
  if asked.normalize and asked.normalize not in NORMALIZATIONS:
    raise errors.UserError(
      f'init.normalize "{asked.normalize}" is unknown; use one of {", ".join(NORMALIZATIONS)}'
    )
  if config.network != "online":  # of a run, too, the online network is taken
    raise errors.UserError(
      f'network "{config.network}": init.path {asked.path} is one network, and of a run the online '
      "one; leave it out, or give the run as --workdir in place of init.path"
    )
  weights = start.read(asked.path, asked.layout, asked.step)
  base = _of_run(workdir) if workdir else _of_images(config, weights)
  made = matching.config_of(weights, base.augment.recipe)
  with base.unlocked(), base.ignore_type():
    base.method, base.model = made.method, made.model
    if asked.normalize:
      base.augment.normalize, base.augment.mean, base.augment.std = asked.normalize, (), ()
  logging.getLogger(__name__).info(
    "%s; images of %d px, standardised as %s",
    *(weights.said(), config.image_size_px or base.image_size_px, _standard(base)),
  )
  if "z" in config.layers:
    logging.getLogger(__name__).warning(
      "warning: of %s the backbone alone is taken, so layer z is h once more", asked.path
    )
  whole = base.copy_and_resolve_references()
  whole.image_size_px = config.image_size_px or base.image_size_px
  matching.check_shapes(weights, whole)
  params, stats = tree.nested(weights.arrays)
  stats = {"backbone": stats} if stats else {}
  return loading.Run(base, {"backbone": params}, stats, 0)


def _of_run(workdir: str) -> ConfigDict:
  config = workdir_lib.stored_config(workdir)
  if config is None:
    raise errors.UserError(
      f"workdir {workdir} holds no run (no config.json); leave it out, and name images: "
      "--config.data.source=..."
    )
  return config


def _of_images(config: ConfigDict, weights: start.Weights) -> ConfigDict:
  """Returns the config of a run on the evaluation's images, at the size of the weights."""
  if not config.data.source:
    raise errors.UserError(
      "data.source is empty, and without --workdir no run tells the images; set "
      "--config.data.source=folder --config.data.folder.path=DIR, or another source"
    )
  how = weights.preparation
  base = config_lib.pretrain("simclr", weights.model["name"], how.get("recipe", _VIEWS))
  base.data.source = config.data.source
  base.augment.normalize, base.augment.antialias = how["normalize"], how.get("antialias")
  if how["normalize"] is None:  # a run that was given numbers of its own
    base.augment.mean, base.augment.std = tuple(how["mean"]), tuple(how["std"])
  base.image_size_px = how.get("size_px") or _size_px(weights)
  limits.check({"image_size_px": config.image_size_px or base.image_size_px})  # a file says it
  return base


def _standard(base: ConfigDict) -> str:
  """Returns how a run standardises images, in words: a name, or its numbers."""
  how = base.augment
  return f"mean {how.mean}, std {how.std}" if how.mean else how.normalize or "its recipe says"


def _size_px(weights: start.Weights) -> int:
  """Returns the side of the images that weights are for, as far as they tell."""
  positions = weights.arrays.get("params.positions")
  if positions is not None:
    return round((len(positions) - 1) ** 0.5) * weights.model["patch_px"]
  small = weights.model.get("stem", "imagenet") != "imagenet"
  return resnet.SMALL_IMAGE_PX if small else _LARGE_PX
