"""The schema of an evaluation: which checkpoint, layers and protocols, on which images.

A config file in `configs/eval/` starts from `evaluation()` and changes what it wants to ask.
"""

import dataclasses
import importlib
from typing import Any

from ml_collections import ConfigDict

from contrastive_jax import catalogue, declared, errors, limits, options, paths, sections
from contrastive_jax import config as config_lib
from contrastive_jax.options import Section, option, section

# What measures a representation, and the module of each with its `Options` (the section of its
# name) and what computes it.
PROTOCOLS = {
  "knn": "knn",
  "linear_sgd": "linear_probe",
  "linear_lbfgs": "logistic",
  "finetune": "finetune",
  "picture": "picture",
  "transformation": "transformation",
}
NEED_NO_LABELS = {"picture", "transformation"}
BASELINES = ("random_init", "raw_pixels")
NETWORKS = ("online", "target")
# What changes how fast an answer comes, and not the answer.
SPEED = ("batch_size", "data.cache", "data.num_threads", "data.num_workers")


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
  network: str = option(
    "online",
    "whose weights: online, or target, the moving average that a method keeps (DINO's teacher)",
  )
  image_size_px: int | None = option(None, "side of a view, pixels; unset: that of the run")
  batch_size: int = option(256, "images in a forward pass")
  max_features: int = option(
    declared.constant("evaluation.pooling", "MAX_FEATURES"),
    "feature maps are averaged over cells to at most so many numbers",
  )
  patch_grid: int = option(
    0, "features are the mean over the patches of so many cells squared (0: of the whole view)"
  )
  patch_fraction: float = option(
    declared.constant("augment.cells", "PATCH_OF_CELL"),
    "side of such a patch, of its cell's (1: the whole cell)",
  )
  seed: int = option(0, "of the probes' order, the held-out part and the random net")


@dataclasses.dataclass(frozen=True)
class Init(sections.Init):
  """Weights to score in the place of a run's; --init=PATH sets `path`."""

  normalize: str = option("", "of the images, as in augment.normalize (unset: as the layout's)")


@dataclasses.dataclass(frozen=True)
class Data:
  """Images to score on; whatever is unset is as in the run."""

  source: str = option("", "another source; its options are in the section of its name")
  split: str = option("", "split that probes train on and that neighbours come from")
  eval_split: str = option("", "split that is scored")
  held_out: bool = option(
    False, "score the images that the run held out of its training set, to choose among runs"
  )
  label: str = option("", "another key of the source's factors to take as label")
  train_share: float = option(1.0, "part of each class's training images used: 0.01, 0.1, ...")
  max_train: int = option(0, "training images used, of each class its share (0: all)")
  max_test: int = option(0, "test images used, of each class its share (0: all)")
  host_size_px: int | None = option(None, "side of the canvas sent to devices")
  cache: str | None = option(None, "keep decoded images in memory: auto, memory or none")
  num_threads: int | None = option(None, "threads that assemble batches")
  num_workers: int | None = option(None, "processes that decode images")


class EvaluationConfig(Section):
  """The config of an evaluation; it prints the options of the protocols that it asks for."""

  def __repr__(self) -> str:
    shown = {k: v for k, v in config_lib.flatten(self).items() if self._is_shown(k)}
    return options.rows(shown)

  __str__ = __repr__

  def _is_shown(self, key: str) -> bool:
    section, _, rest = key.partition(".")
    return (
      section in self.protocols if section in PROTOCOLS else section != "data" or rest == "label"
    )


def evaluation(*protocols: str, name: str = "results") -> EvaluationConfig:
  """Returns the config of an evaluation with every key at its default, or with these protocols."""
  config = EvaluationConfig(section(Evaluation))
  config.name = name
  config.protocols = protocols or config.protocols
  config.init = section(Init)
  config.data = section(Data)
  for source in catalogue.sources():
    config.data[source] = section(catalogue.source(source))
  for protocol in PROTOCOLS:
    config[protocol] = section(_options(protocol))
  return config.lock()


def _options(protocol: str) -> type:
  return declared.options(f"evaluation.{PROTOCOLS[protocol]}", "Options")


to_json = config_lib.to_json


def describe(config: ConfigDict) -> list[tuple[str, str, Any, str]]:
  """Returns (key, type, value, line) of every key of a config, in order."""
  return config_lib.describe_by(_classes(), config, {})


def _classes() -> list[tuple[str, type]]:
  """Returns the prefix of each section's keys and the dataclass that they are fields of."""
  sources = ((f"data.{name}.", catalogue.source(name)) for name in catalogue.sources())
  protocols = ((f"{name}.", _options(name)) for name in PROTOCOLS)
  return [("", Evaluation), ("init.", Init), ("data.", Data), *sources, *protocols]


def check_kind(config: ConfigDict) -> None:
  """Raises `UserError` if a config is not one of an evaluation."""
  if "epochs" in config:
    raise errors.UserError(
      "this config is of pre-training, as contrastive_jax train takes it; what is asked for is one "
      "of an evaluation, e.g. eval/all"
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
  lists = [(config, key) for key in ("protocols", "layers", "baselines")]
  for part, key in (*lists, (config.transformation, "which")):
    part[key] = names(part[key])
  flat = config_lib.flatten(config)
  for prefix, cls in _classes():
    options.check(cls, flat, prefix)
  config_lib.check_seed(config.seed)
  paths.check_name("name", config.name)
  limits.check(flat)
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
  if config.network not in NETWORKS:
    raise errors.UserError(f'network "{config.network}" is unknown; use {" or ".join(NETWORKS)}')
  if not 0 < config.patch_fraction <= 1:
    raise errors.UserError(f"patch_fraction {config.patch_fraction} is outside (0, 1]; use e.g. 1")
  if config.image_size_px is not None and config.image_size_px < 1:
    raise errors.UserError(f"image_size_px {config.image_size_px} is below 1; use e.g. 32")
  for key in ("max_train", "max_test"):
    if config.data[key] < 0:
      raise errors.UserError(f"data.{key} {config.data[key]} is negative; use 0 for all images")
  if not 0 < config.data.train_share <= 1:
    raise errors.UserError(
      f"data.train_share {config.data.train_share} is outside (0, 1]; use 1 for all images"
    )
  return config, {name: _made(name, config[name]) for name in config.protocols}


def names(value: str | tuple[str, ...]) -> tuple[str, ...]:
  """Returns the names in a list of names, also where a flag gave them as "h,z"."""
  parts = (value,) if isinstance(value, str) else value
  if not all(isinstance(part, str) for part in parts):
    return parts  # `options.check` says what is wrong with it
  return tuple(name.strip() for part in parts for name in part.split(",") if name)


def _made(protocol: str, values: ConfigDict) -> Any:
  module = importlib.import_module(f"contrastive_jax.evaluation.{PROTOCOLS[protocol]}")
  return module.Options(**values)
