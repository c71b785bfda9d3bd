"""The schema of an evaluation: which checkpoint, layers and protocols, on which images.

A config file in `configs/eval/` starts from `evaluation()` and changes what it wants to ask.
"""

import dataclasses
import re
from typing import Any

from ml_collections import ConfigDict

from contrastive_jax import config as config_lib
from contrastive_jax import data, errors, keys, options
from contrastive_jax.augment import cells
from contrastive_jax.evaluation import features, finetune, knn, linear_probe, logistic, picture
from contrastive_jax.options import docs, kind_name, option, section

FILES = "configs/eval/*.py"
# What measures a representation, and the options of each (the section of its name).
PROTOCOLS = {
  "knn": knn.Options,
  "linear_sgd": linear_probe.Options,
  "linear_lbfgs": logistic.Options,
  "finetune": finetune.Options,
  "picture": picture.Options,
}
BASELINES = ("random_init", "raw_pixels")


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """Top level."""

  name: str = option("results", "of the file WORKDIR/eval/NAME.json")
  protocols: tuple[str, ...] = option(("knn", "linear_sgd"), f"of {', '.join(PROTOCOLS)}")
  layers: tuple[str, ...] = option(("h",), "endpoints: h, z, z.1, stem, block1, ...")
  baselines: tuple[str, ...] = option((), f"also scored, of {', '.join(BASELINES)}")
  checkpoint_step: int | str | None = option(
    None, "which checkpoint: its step, or best (by kNN); unset: the newest"
  )
  image_size_px: int | None = option(None, "side of a view, pixels; unset: that of the run")
  batch_size: int = option(256, "images in a forward pass")
  max_features: int = option(
    features.MAX_FEATURES, "feature maps are averaged over cells to at most so many numbers"
  )
  patch_grid: int = option(
    0, "features are the mean over the patches of so many cells squared (0: of the whole view)"
  )
  patch_fraction: float = option(
    cells.PATCH_OF_CELL, "side of such a patch, of its cell's (1: the whole cell)"
  )
  seed: int = option(0, "of the probes' order, the held-out part and the random net")


@dataclasses.dataclass(frozen=True)
class Data:
  """Images to score on; whatever is unset is as in the run."""

  source: str = option("", "another source; its options are in the section of its name")
  split: str = option("", "split that probes train on and that neighbours come from")
  eval_split: str = option("", "split that is scored")
  label: str = option("", "another key of the source's factors to take as label")
  max_train: int = option(0, "training images used, evenly taken (0: all)")
  max_test: int = option(0, "test images used, evenly taken (0: all)")
  host_size_px: int | None = option(None, "side of the canvas sent to devices")
  cache: str | None = option(None, "keep decoded images in memory: auto, memory or none")
  num_threads: int | None = option(None, "threads that assemble batches")
  num_workers: int | None = option(None, "processes that decode images")


def evaluation(*protocols: str, name: str = "results") -> ConfigDict:
  """Returns the config of an evaluation with every key at its default, or with these protocols."""
  config = section(Evaluation)
  config.name = name
  config.protocols = protocols or config.protocols
  config.data = section(Data)
  for source in data.sources():
    config.data[source] = section(data.options(source))
  for protocol, cls in PROTOCOLS.items():
    config[protocol] = section(cls)
  return config


def describe(config: ConfigDict) -> list[tuple[str, str, Any, str]]:
  """Returns (key, type, value, line) of every key of a config, in order."""
  lines, kinds = {}, {}
  for prefix, cls in _classes():
    lines.update(docs(cls, prefix))
    kinds.update({prefix + f.name: kind_name(cls, f.name) for f in dataclasses.fields(cls)})
  flat = config_lib.flatten(config)
  return [(k, kinds.get(k, type(v).__name__), v, lines.get(k, "")) for k, v in flat.items()]


def _classes() -> list[tuple[str, type]]:
  """Returns the prefix of each section's keys and the dataclass that they are fields of."""
  sources = ((f"data.{name}.", data.options(name)) for name in data.sources())
  protocols = ((f"{name}.", cls) for name, cls in PROTOCOLS.items())
  return [("", Evaluation), ("data.", Data), *sources, *protocols]


def check_kind(config: ConfigDict) -> None:
  """Raises `UserError` if a config is not one of an evaluation."""
  if "epochs" in config:
    raise errors.UserError(
      "this config is of pre-training; give it to train.py, and to eval.py one of an evaluation, "
      "e.g. configs/eval/all.py"
    )
  missing = [key for key in ("protocols", "data", *PROTOCOLS) if key not in config]
  if missing:
    raise errors.UserError(
      f"this config has no {missing[0]}; start from contrastive_jax.evaluation.config.evaluation()"
    )


def resolve(config: ConfigDict) -> tuple[ConfigDict, dict[str, Any]]:
  """Checks a config before anything is read or computed.

  Returns:
    A copy in which lists of names are tuples, also where a flag gave them as "h,z"; and the options
    of each protocol asked for.

  Raises:
    UserError: a value that cannot work.
  """
  check_kind(config)
  config = config.copy_and_resolve_references()
  for key in ("protocols", "layers", "baselines"):
    names = (config[key],) if isinstance(config[key], str) else config[key]
    config[key] = tuple(name.strip() for value in names for name in value.split(",") if name)
  flat = config_lib.flatten(config)
  for prefix, cls in _classes():
    options.check(cls, flat, prefix)
  keys.check_seed(config.seed)
  if not re.fullmatch(r"[\w.-]+", config.name):
    raise errors.UserError(f'name "{config.name}" is no file name; use letters, digits, "_", "-"')
  for key, allowed in (("protocols", PROTOCOLS), ("baselines", BASELINES)):
    for value in config[key]:
      if value not in allowed:
        raise errors.UserError(f'{key} has "{value}"; use some of {", ".join(allowed)}')
  for key in ("protocols", "layers"):
    if not config[key]:
      raise errors.UserError(f"{key} is empty; name at least one")
  for key, limit in (("batch_size", 1), ("max_features", 1), ("patch_grid", 0)):
    if config[key] < limit:
      raise errors.UserError(f"{key} {config[key]} is below {limit}; use {limit} or more")
  if not 0 < config.patch_fraction <= 1:
    raise errors.UserError(f"patch_fraction {config.patch_fraction} is outside (0, 1]; use e.g. 1")
  if config.image_size_px is not None and config.image_size_px < 1:
    raise errors.UserError(f"image_size_px {config.image_size_px} is below 1; use e.g. 32")
  for key in ("max_train", "max_test"):
    if config.data[key] < 0:
      raise errors.UserError(f"data.{key} {config.data[key]} is negative; use 0 for all images")
  return config, {name: PROTOCOLS[name](**config[name]) for name in config.protocols}
