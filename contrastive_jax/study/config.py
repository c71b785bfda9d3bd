"""The schema of a study: a base config, axes of changes to it, seeds, what is measured and shown.

  study = config.study("batch_size", base="cifar10/simclr:cpu")
  study.axes = {"batch": config.each("batch_size", (128, 256)), ...}

A config file in `configs/studies/` starts from `study()`.
"""

import ast
import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from contrastive_jax import config as config_lib
from contrastive_jax import config_files, errors, options, paths
from contrastive_jax.options import Section, option, section
from contrastive_jax.study import measure as measure_lib

BASE = "config"  # the key of a label that takes another base config
ADD = "+"  # before a key whose tuples several axes add to, in their order
TIMES = "*"  # before a key whose value in the base config is multiplied
WHERE = "?"  # before a key, or its *, that is left out where the base config does not have it
SHOWS = ("lines", "grid")
# Safe in any file system, and between the signs = and , of names.
_LABEL = re.compile(r"[\w.+-]+", re.ASCII)


class Table(Mapping):
  """A mapping that a config takes as one value: its keys may hold dots, and nothing changes it."""

  def __init__(self, rows: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()):
    rows = dict(rows)
    self._rows = {k: Table(v) if isinstance(v, dict) else v for k, v in rows.items()}

  def __getitem__(self, key: str) -> Any:
    return self._rows[key]

  def __iter__(self) -> Iterator[str]:
    return iter(self._rows)

  def __len__(self) -> int:
    return len(self._rows)

  def __hash__(self) -> int:
    return hash(tuple(self._rows))

  def __repr__(self) -> str:
    return repr(self._rows)


@dataclasses.dataclass(frozen=True)
class Options:
  """Top level."""

  name: str = option("study", "of the study, in one word")
  title: str = option("", "over its tables and pictures")
  base: str = option("", "config of the runs, with :ARGUMENT if it takes one")
  changes: Table = option(Table(), "what every run changes of it, {key: value}")
  axes: Table = option(Table(), "{axis: {label: {key: value}}}, in order; key config: another base")
  seeds: tuple[int, ...] = option((0,), "of the runs of each combination")
  choose: tuple[str, ...] = option((), "axes whose best label is chosen on images held out")
  choose_by: str = option("", "figure that chooses; unset: measure")
  choose_seeds: int = option(0, "how many of the seeds choose; the others run the chosen; 0: all")
  evaluations: tuple[str, ...] = option(("eval/knn",), "configs that score on test images, once")
  measure: str = option("knn.h", "figure in the table: PROTOCOL.LAYER, or metric.NAME")
  also: tuple[str, ...] = option((), "further figures, each with a table of its own")
  x: str = option("", "axis along which it is drawn")
  line: str = option("", "axis of the lines of a plot")
  column: str = option("", "axis of the plots beside each other")
  show: str = option("lines", f"how it is drawn: {' or '.join(SHOWS)} (of x by line)")
  published: tuple = option(
    (), "rows {axis: label, ..., value: percent, source: where}; figure: if not of measure"
  )


class Study(Section):
  """The config of a study; dictionaries in it become tables, whose keys may hold dots."""

  def __setitem__(self, key: str, value: Any) -> None:
    if isinstance(value, dict):
      value = Table(value)
    if key == "published":
      value = tuple(Table(row) for row in value)
    super().__setitem__(key, value)


def study(name: str, base: str, **values: Any) -> Study:
  """Returns the config of a study with every key at its default.

  Args:
    name: of the study.
    base: name of a config of pre-training, with :ARGUMENT if it takes one.
    **values: of other keys.
  """
  made = Study(section(Options))
  for key, value in {"name": name, "base": base, **values}.items():
    made[key] = value
  return made.lock()


def each(key: str, values: Iterable[Any]) -> dict[str, dict[str, Any]]:
  """Returns the labels of an axis that sets one key: each value by its own text."""
  return {label_of(value): {key: value} for value in values}


def label_of(value: Any) -> str:
  """Returns the text of a value, as the label of an axis."""
  return f"{value:g}" if isinstance(value, float) else str(value)


def joined(changes: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
  """Returns changes with more: a key that begins with + adds to the tuple that there is."""
  changes = dict(changes)
  for key, value in more.items():
    name = key.removeprefix(ADD)
    changes[name] = value if name == key else (*changes.get(name, ()), *value)
  return changes


def describe(study: ConfigDict) -> list[tuple[str, str, Any, str]]:
  """Returns (key, type, value, line) of every key of a config, in order."""
  return config_lib.describe_by([("", Options)], study, {})


def to_json(study: ConfigDict) -> str:
  """Returns the config as JSON, axes in their order."""
  return json.dumps(study.to_dict(), indent=2, default=_plain) + "\n"


def _plain(value: Any) -> Any:
  if isinstance(value, Table):
    return dict(value)
  raise TypeError(f"{type(value).__name__} in the config of a study")


def check_kind(study: ConfigDict) -> None:
  """Raises `UserError` if a config is not one of a study."""
  if "axes" not in study:
    raise errors.UserError(
      "this config is of one run or evaluation; give contrastive_jax study one of a study, e.g. "
      "studies/batch_size"
    )


def resolve(study: ConfigDict) -> ConfigDict:
  """Checks a config, but for its cells (see `cells.resolve`), before anything is read or written.

  Returns:
    A copy in which what may be several is a tuple, also where a flag gave one or "a,b".

  Raises:
    UserError: a value that cannot work.
  """
  check_kind(study)
  study = study.copy_and_resolve_references()
  for key in ("choose", "evaluations", "also"):
    names = (study[key],) if isinstance(study[key], str) else study[key]
    study[key] = tuple(name.strip() for value in names for name in value.split(",") if name)
  _check(study)
  return study


def with_changes(study: ConfigDict, words: Iterable[str]) -> ConfigDict:
  """Returns the study with further changes to every run.

  Args:
    study: its config.
    words: each KEY=VALUE, the value as Python writes it; what Python cannot read is a word.

  Raises:
    UserError: one is not KEY=VALUE, or an axis sets its key.
  """
  check_kind(study)
  changes = dict(study.changes)
  for word in words:
    key, sign, text = word.partition("=")
    if not sign:
      raise errors.UserError(f"--set={word} is not KEY=VALUE, e.g. --set=data.tfds.path=DIR")
    for axis, labels in study.axes.items():
      if any(name in of_label for of_label in labels.values() for name in (key, WHERE + key)):
        raise errors.UserError(f"--set={word}: axis {axis} sets {key}; --only takes some labels")
    changes[key] = _value(text)
  study = study.copy_and_resolve_references()
  study.changes = changes
  return study


def _value(text: str) -> Any:
  try:
    return ast.literal_eval({"true": "True", "false": "False"}.get(text, text))
  except (ValueError, SyntaxError):
    return text


def _check(study: ConfigDict) -> None:
  options.check(Options, study)
  paths.check_name("name", study.name)
  if not study.seeds or len(set(study.seeds)) != len(study.seeds):
    raise errors.UserError(f"seeds {study.seeds} are none or repeat one; use e.g. (0, 1, 2)")
  for seed in study.seeds:
    config_lib.check_seed(seed)
  _check_choosing_seeds(study)
  _check_axes(study)
  if study.show not in SHOWS:
    raise errors.UserError(f'show "{study.show}" is none of {", ".join(SHOWS)}')
  shown = [axis for axis in (study.x, study.line, study.column) if axis]
  for key, named in (("choose", study.choose), ("x, line and column", shown)):
    for axis in named:
      if axis not in study.axes:
        raise errors.UserError(
          f"{key}: there is no axis {axis}{options.nearest(axis, study.axes)}; there are "
          f"{', '.join(study.axes) or 'none'}"
        )
  if len({*shown, *study.choose}) != len(shown) + len(study.choose):
    raise errors.UserError("an axis is named twice among choose, x, line and column")
  for axis, labels in study.axes.items():
    if len(labels) > 1 and axis not in (*shown, *study.choose):
      raise errors.UserError(
        f"axis {axis} has {len(labels)} labels and is not shown: no mean is taken over it; name it "
        "as x, line or column, choose over it, or give it one label"
      )
  _check_figures(study)
  for row in study.published:
    _check_published(row, study)


def _check_choosing_seeds(study: ConfigDict) -> None:
  if not 0 <= study.choose_seeds <= len(study.seeds):
    raise errors.UserError(
      f"choose_seeds {study.choose_seeds}: there are {len(study.seeds)} seeds; use a number up to "
      "that, the first of them choose, or 0: all"
    )


def _check_axes(study: ConfigDict) -> None:
  setters: dict[str, str] = {}
  for axis, labels in study.axes.items():
    if not re.fullmatch(r"[A-Za-z]\w*", axis, re.ASCII) or axis == "seed":
      raise errors.UserError(f'axis "{axis}": use a word of letters, digits and "_"; not seed')
    if not isinstance(labels, Mapping) or not labels:
      raise errors.UserError(f"axis {axis} has no labels; give {{label: {{key: value}}}}")
    for label, changes in labels.items():
      if not _LABEL.fullmatch(label):
        raise errors.UserError(
          f'axis {axis} has the label "{label}"; use letters, digits, "_", ".", "+" and "-"'
        )
      if not isinstance(changes, Mapping):
        raise errors.UserError(f"label {label} of axis {axis} is no dict; give {{key: value}}")
    if len({label.lower() for label in labels}) < len(labels):
      raise errors.UserError(f"axis {axis} has labels that differ in case alone")
    for key in {key.removeprefix(WHERE) for changes in labels.values() for key in changes}:
      if key in setters and not key.startswith(ADD):
        raise errors.UserError(f"axes {setters[key]} and {axis} both set {key}; it can have one")
      setters[key] = axis
  if "seed" in {*setters, *study.changes}:
    raise errors.UserError("seed is set by seeds, e.g. (0, 1, 2), not by an axis or by changes")
  if BASE in study.changes:
    raise errors.UserError("changes has the key config; the base of all runs is base")


def _check_published(row: Mapping[str, Any], study: ConfigDict) -> None:
  named = {key for key in row if key not in ("value", "source", "figure")}
  for axis in named:
    if axis not in study.axes or axis in study.choose:
      raise errors.UserError(
        f"published: {axis} is no axis that is shown{options.nearest(axis, study.axes)}"
      )
  if not isinstance(row.get("value"), int | float) or not row.get("source"):
    raise errors.UserError(
      f"published: {row} needs a value in percent and its source, e.g. value: 62.8, source: paper"
    )
  figure = row.get("figure", study.measure)
  if figure not in (study.measure, *study.also):
    raise errors.UserError(f"published: figure {figure} is neither measure nor one of also")


def _check_figures(study: ConfigDict) -> None:
  by = study.choose_by or study.measure
  for figure in {study.measure, by, *study.also}:
    measure_lib.parse(figure)
  if study.choose and isinstance(measure_lib.parse(by), measure_lib.Metric):
    raise errors.UserError(
      f"choose_by {by}: what training logs is no figure of images held out; choose by one of an "
      "evaluation, e.g. choose_by = knn.h"
    )
  for spec in study.evaluations:
    config_files.find(spec, config_files.EVALUATIONS)
