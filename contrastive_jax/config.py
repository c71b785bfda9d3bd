"""The schema of a run: every key with its type, default and one line, in natural units.

Derived values (steps, scaled learning rate) are computed at run time and logged, never stored. A
config file starts from `pretrain(...)` and changes what its experiment changes.
"""

import dataclasses
import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from contrastive_jax import catalogue, errors, limits, options
from contrastive_jax.options import Section, docs, kind_name, nearest, section
from contrastive_jax.sections import SECTIONS, Run

_MAX_SEED = 2**32 - 1  # jax.random.key takes the lower 32 bits: a larger seed would repeat another


_NOT_NEGATIVE = (
  "memory_limit_gib",
  "checkpoint.every_epochs",
  "checkpoint.every_minutes",
  "checkpoint.keep_best",
  "monitor.every_epochs",
  "monitor.max_train",
  "monitor.max_test",
  "monitor.online_learning_rate",
  "monitor.min_std",
  "monitor.min_rank",
  "monitor.min_gradient",
  "monitor.max_zeros",
  "watchdog.stuck_after_s",
  "watchdog.peer_silent_s",
)
_NAMES = {"method.name", "model.name", "augment.recipe"}  # which say what a section's keys are
# What no run under way can take on, and why.
FIXED = {
  "optimizer.plain_accumulation": "the optimiser has counted updates of so many batches, and its "
  "rate would jump to another place of the schedule",
}
LEFT_TO_THE_RUN = ("data.order", "data.folder.layout")  # where they are None
_CHECKED_WHERE_USED = ("method.", "model.")  # which know what a method or a backbone takes
_ALWAYS_SHOWN = (*_NAMES, "epochs", "batch_size", "image_size_px", "data.source")


class Config(Section):
  """The config of a run; it prints what differs from the defaults of its method and network."""

  def __repr__(self) -> str:
    named = {k: v for k, v in flatten(self).items() if k in _ALWAYS_SHOWN}
    plain = flatten(pretrain(self.method.name, self.model.name, self.augment.recipe))
    changed = {k: v for k, v in flatten(self).items() if plain.get(k) != v}
    rest = f"\n({len(plain)} keys in all; contrastive_jax.describe(config) lists them)"
    return options.rows(named | changed) + rest

  __str__ = __repr__


def pretrain(method: str = "simclr", model: str = "resnet18", recipe: str = "simclr") -> Config:
  """Returns the config of a pre-training run with every key at its default.

  Args:
    method: file in `contrastive_jax/methods`.
    model: backbone, one of `catalogue.models()`.
    recipe: named views, one of `catalogue.recipes()`.

  Raises:
    UserError: there is no such method or model.
  """
  config = Config(section(Run))
  config.method = section(catalogue.method(method))
  config.method.name = method
  config.model = backbone(model)
  config.augment = section(catalogue.augmentation())
  config.augment.recipe = recipe
  config.optimizer = section(catalogue.optimizer())
  for name, cls in SECTIONS.items():
    config[name] = section(cls)
  for name in catalogue.sources():
    config.data[name] = section(catalogue.source(name))
  return config.lock()


def backbone(name: str, **values: Any) -> Section:
  """Returns the section `model` of a backbone, with `values` in place of its defaults."""
  result = section(catalogue.model(name), **values)
  result.name = name
  return result


def describe(config: ConfigDict) -> list[tuple[str, str, Any, str]]:
  """Returns (key, type, value, line) of every key of a config, in order."""
  lines = {
    "method.name": "file in contrastive_jax/methods",
    "model.name": f"backbone: {', '.join(catalogue.models())}",
    "augment.recipe": f"named views: {', '.join(catalogue.recipes())}",
  }
  return describe_by(_classes(config), config, lines)


def describe_by(
  classes: list[tuple[str, type]], config: ConfigDict, lines: dict[str, str]
) -> list[tuple[str, str, Any, str]]:
  """Returns (key, type, value, line) of every key, from the classes of its sections.

  Args:
    classes: the prefix of each section's keys and the dataclass that they are fields of.
    config: whose keys and values are described.
    lines: of keys that are fields of no class.
  """
  lines, kinds = dict(lines), {}
  for prefix, cls in classes:
    lines.update(docs(cls, prefix))
    kinds.update({prefix + f.name: kind_name(cls, f.name) for f in dataclasses.fields(cls)})
  flat = flatten(config)
  return [(k, kinds.get(k, type(v).__name__), v, lines.get(k, "")) for k, v in flat.items()]


def _classes(config: ConfigDict) -> list[tuple[str, type]]:
  """Returns the prefix of each section's keys and the dataclass that they are fields of."""
  return [
    ("", Run),
    ("optimizer.", catalogue.optimizer()),
    ("augment.", catalogue.augmentation()),
    ("method.", catalogue.method(config.method.name)),
    ("model.", catalogue.model(config.model.name)),
    *((f"{name}.", cls) for name, cls in SECTIONS.items()),
    *((f"data.{name}.", catalogue.source(name)) for name in catalogue.sources()),
  ]


def flatten(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
  """Returns {dotted key: value}."""
  flat = {}
  for key in config:
    value = config[key]
    if isinstance(value, ConfigDict):
      flat.update(flatten(value, f"{prefix}{key}."))
    else:
      flat[prefix + key] = value
  return flat


def changed(config: ConfigDict, changes: Mapping[str, Any]) -> ConfigDict:
  """Sets keys of a config, those of sections by dotted names. Raises `UserError`."""
  known = flatten(config)
  for key, value in changes.items():
    if key not in known:
      raise errors.UserError(f"config has no key {key}{nearest(key, known)}")
    *sections, last = key.split(".")
    part = config
    for name in sections:
      part = part[name]
    try:
      if isinstance(value, dict):  # ml_collections would make it a section
        raise TypeError("a section stands for a value")
      part[last] = value
    except (TypeError, ValueError, OverflowError) as error:
      word, now = options.word(part.get_type(last)), part[last]
      said = f" is not {word}" if word else f": {' '.join(str(error).split())}"
      example = "" if now is None else f"; set e.g. {now!r}"
      raise errors.UserError(f"{key} {value!r}{said}{example}") from error
  return config


def to_json(config: ConfigDict) -> str:
  """Returns the config as JSON that `from_json` reads."""
  return json.dumps(config.to_dict(), indent=2, sort_keys=True) + "\n"


def from_json(text: str) -> Config:
  """Reads a config back; lists become tuples, as config files write them.

  A run that began before `data.held_out` was there trained on all images, and one that began before
  `data.order`, in the order of then; before `data.folder.layout`, it read folders as of then.
  """

  def tuples(value):
    if isinstance(value, dict):
      return Section({k: tuples(v) for k, v in value.items()})
    return tuple(tuples(v) for v in value) if isinstance(value, list) else value

  config = Config({k: tuples(v) for k, v in json.loads(text).items()})
  if "method" in config and "held_out" not in config.data:
    config.data.held_out = 0
  if "method" in config and "order" not in config.data:
    config.data.order = catalogue.order_before()
  if "method" in config and "layout" not in config.data.get("folder", {"layout"}):
    config.data.folder.layout = catalogue.layout_before()
  return config.lock()


def differences(stored: ConfigDict, asked: ConfigDict) -> list[str]:
  """Returns "key stored -> asked" for every key of a run's identity, see `options.option`.

  A key that the package did not have when the run began was at its default. Options of a data
  source that neither config takes change nothing, nor does what is left to the run.
  """
  defaults, free = {}, set()
  if "method" in asked:  # or it is an evaluation's
    free = free_keys(asked)
    for prefix, cls in _classes(asked):
      defaults |= {prefix + f.name: f.default for f in dataclasses.fields(cls)}
  for key in LEFT_TO_THE_RUN:
    if flatten(asked).get(key) is None:
      free = free | {key}
  unused = set(catalogue.sources()) - {stored.data.source, asked.data.source}
  idle = tuple(f"data.{name}." for name in unused)
  both = defaults | flatten(stored), defaults | flatten(asked)
  return changes(*({k: c[k] for k in c if k not in free and not k.startswith(idle)} for c in both))


def free_keys(config: ConfigDict) -> set[str]:
  """Returns the keys that are not of a run's identity: they may change while it goes on."""
  return set().union(*(options.not_of_identity(cls, prefix) for prefix, cls in _classes(config)))


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
  """Returns "key old -> new" for every key whose values differ."""
  keys = sorted(old.keys() | new.keys())
  return [f"{k} {old.get(k)} -> {new.get(k)}" for k in keys if old.get(k) != new.get(k)]


def check_kind(config: ConfigDict) -> None:
  """Raises `UserError` if a config is not one of pre-training."""
  if "protocols" in config:
    raise errors.UserError(
      "this config is of an evaluation, as contrastive_jax eval takes it; what is asked for is one "
      "of pre-training, e.g. shapes/quickstart"
    )
  missing = [key for key in ("method", "model", *SECTIONS) if key not in config]
  if missing:
    raise errors.UserError(
      f"this config has no {missing[0]}; start from contrastive_jax.config.pretrain()"
    )


def check(config: ConfigDict) -> None:
  """Raises `UserError` for a value that no run could use, before anything is built or written."""
  check_kind(config)
  flat = flatten(config)
  classes = _classes(config)
  known = {prefix + field.name for prefix, cls in classes for field in dataclasses.fields(cls)}
  for key in flat:
    if key not in known | _NAMES and not key.startswith(_CHECKED_WHERE_USED):
      raise errors.UserError(f"config has no key {key}{nearest(key, known)}")
  for prefix, cls in classes:
    options.check(cls, flat, prefix)
  check_seed(config.seed)
  if config.data.order not in (None, *catalogue.orders()):
    raise errors.UserError(
      f'data.order "{config.data.order}" is unknown; use one of {", ".join(catalogue.orders())}, '
      "or leave it unset"
    )
  limits.check(flat)
  for key in ("epochs", "batch_size", "image_size_px", "max_skipped_steps"):
    _at_least(key, config[key], 1)
  if config.steps is not None:
    _at_least("steps", config.steps, 1)
  _at_least("batch_size", config.batch_size, 2)  # one image has no negatives
  for key in ("log.every_steps", "optimizer.plain_accumulation"):
    _at_least(key, flat[key], 1)
  _at_least("checkpoint.keep", config.checkpoint.keep, 1)
  for key in _NOT_NEGATIVE:
    _at_least(key, flat[key], 0)
  _at_least("monitor.k", config.monitor.k, 1)
  for key in ("batch_size", "lasting_steps"):
    _at_least(f"monitor.{key}", config.monitor[key], 1)
  limits.check_votes("monitor.temperature", config.monitor.temperature)


def total_steps(config: ConfigDict, steps_per_epoch: int) -> int:
  """Returns how long a run is: `steps`, or so many epochs."""
  return config.steps or config.epochs * steps_per_epoch


def check_seed(seed: int) -> None:
  """Raises `UserError` for a seed that is no key of its own."""
  if not 0 <= seed <= _MAX_SEED:
    raise errors.UserError(f"seed {seed} is outside 0..{_MAX_SEED}; set --config.seed=0, 1, ...")


def _at_least(key, value, limit):
  if value is None or not value >= limit:
    raise errors.UserError(f"{key} {value} is below {limit}; set --config.{key}={limit} or more")


def fields_of(function: Callable, values: ConfigDict) -> dict[str, Any]:
  """Returns the entries of a section that are parameters of a function or class."""
  known = inspect.signature(function).parameters
  return {k: v for k, v in values.items() if k in known}
