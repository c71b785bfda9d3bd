"""The cells of a study: one run for each combination of labels and each seed."""

import functools
import hashlib
import itertools
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from contrastive_jax import config as config_lib
from contrastive_jax import config_files, errors
from contrastive_jax.study import config as study_config

QUIET = {"log.report": False}  # the study has a page of its own
_MAX_NAME = 200  # bytes; file systems allow 255


class Cell(NamedTuple):
  """One run of a study.

  Attributes:
    labels: {axis: label}, in the order of the axes.
    seed: of the run.
    config: name of the base config.
    changes: {dotted key: value} of that config, the seed included.
    name: of its folder, e.g. "batch=128,rate=0.1,seed=0".
  """

  labels: dict[str, str]
  seed: int
  config: str
  changes: dict[str, Any]
  name: str


def cells(study: ConfigDict) -> list[Cell]:
  """Returns all cells, in the order of axes and labels, seeds fastest.

  Labels among which something is chosen and whose runs would be the same make one cell, the first.
  """
  found, seen = [], set()
  for labels in itertools.product(*study.axes.values()):
    named = dict(zip(study.axes, labels, strict=True))
    changes = QUIET | dict(study.changes)
    for axis, label in named.items():
      changes = study_config.joined(changes, study.axes[axis][label])
    base = changes.pop(study_config.BASE, study.base)
    changes = _multiplied(base, _had(base, changes))
    run = (tuple(_shared(study, named).items()), base, repr(sorted(changes.items())))
    if run in seen:
      continue
    seen.add(run)
    for seed in study.seeds:
      found.append(Cell(named, seed, base, changes | {"seed": seed}, name_of(named, seed)))
  return found


def name_of(labels: dict[str, str], seed: int | None = None) -> str:
  """Returns "axis=label,...,seed=0"; one too long for a file system ends in a digest of it all."""
  parts = [f"{axis}={label}" for axis, label in labels.items()]
  name = ",".join(parts if seed is None else [*parts, f"seed={seed}"]) or "all"
  if len(name.encode()) <= _MAX_NAME:
    return name
  return f"{name[: _MAX_NAME // 4]}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def resolve(cell: Cell) -> ConfigDict:
  """Returns the config of a cell's run, checked. Raises `UserError`, which names the cell."""
  try:
    config = config_lib.changed(base(cell.config), cell.changes)
    config_lib.check(config)
  except errors.UserError as error:
    raise errors.UserError(f"cell {cell.name}: {error}") from error
  return config


def group(study: ConfigDict, cell: Cell) -> dict[str, str]:
  """Returns the labels that a cell shares with those that it is chosen among: all others' axes."""
  return _shared(study, cell.labels)


def _shared(study: ConfigDict, labels: dict[str, str]) -> dict[str, str]:
  return {axis: label for axis, label in labels.items() if axis not in study.choose}


def _had(name: str, changes: dict[str, Any]) -> dict[str, Any]:
  """Returns changes in which a key ?KEY is KEY where the base has it, and is left out elsewhere."""
  found = {}
  for key, value in changes.items():
    plain = key.removeprefix(study_config.WHERE)
    if plain == key or plain.removeprefix(study_config.TIMES) in config_lib.flatten(base(name)):
      found[plain] = value
  return found


def _multiplied(name: str, changes: dict[str, Any]) -> dict[str, Any]:
  """Returns changes in which a key *KEY is KEY, so many times what it else would be."""
  found = {k: v for k, v in changes.items() if not k.startswith(study_config.TIMES)}
  for key, factor in changes.items():
    plain = key.removeprefix(study_config.TIMES)
    if plain != key:
      own = found[plain] if plain in found else config_lib.flatten(base(name)).get(plain)
      if not isinstance(own, int | float) or not isinstance(factor, int | float):
        raise errors.UserError(f"{key} {factor!r}: {plain} is {own!r} in {name}, no number")
      found[plain] = factor * own
  return found


def base(name: str) -> ConfigDict:
  """Returns a base config by its name."""
  return config_lib.from_json(_base_json(name))


@functools.cache
def _base_json(name: str) -> str:
  config = config_files.load(name)
  config_lib.check_kind(config)
  return config_lib.to_json(config)
