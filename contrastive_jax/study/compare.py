"""Runs beside each other: curves, scores, keys of their configs and versions that differ.

Any runs will do: unfinished, not scored, of different methods, with a damaged last line.
"""

import contextlib
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from contrastive_jax import catalogue, errors, export_names, options, plural, reading
from contrastive_jax import config as config_lib
from contrastive_jax.study import collect, figures, origin, own_page, statistics, tables
from contrastive_jax.study.tables import NONE, Table

FILES = (own_page.NAME, "table.csv", "table.md", "curves.png", "curves.svg")  # if written
_SIGNS = ("config.json", "metrics.jsonl", "eval")  # each of which a run leaves
_PARTS = (0.25, 0.5, 0.75)  # of a run's own steps, at which its curve is read
_WIDE = 72  # letters of all names from which heads of tables have numbers in their place


class Comparison(NamedTuple):
  """Runs and what is said of them."""

  names: list[str]
  runs: list[collect.Run]
  metrics: list[str]
  tables: list[Table]


def compare(folders: Sequence[str], metrics: Sequence[str] = ()) -> Comparison:
  """Reads runs and compares them.

  Args:
    folders: workdirs.
    metrics: of metrics.jsonl; by default loss, accuracies and kNN, as far as they are there.

  Raises:
    UserError: a folder holds no run, or is given twice; no run has a metric that was asked for.
  """
  paths = [pathlib.Path(folder) for folder in folders]
  for path in paths:
    _check(path)
  places = [path.resolve() for path in paths]
  for place, folder in zip(places, folders, strict=True):
    if places.count(place) > 1:
      raise errors.UserError(f"run {folder} is given twice; give each once")
  runs, names = [collect.read(path) for path in paths], _names(paths)
  known = collect.present(runs, metrics or collect.METRICS)
  for metric in metrics:
    if metric not in known:
      found = {key for run in runs for line in run.metrics for key in line} - {"step"}
      hint = options.nearest(metric, found) or f"; there are {', '.join(sorted(found)) or 'none'}"
      raise errors.UserError(f"no run has the metric {metric}{hint}")
  heads = names if sum(map(len, names)) <= _WIDE else [f"[{i}]" for i in range(1, len(names) + 1)]
  found = [_runs(names, heads, runs)]
  found += [_curve(heads, runs, metric) for metric in known]
  found += [_scores(heads, runs)]
  if len(runs) > 1:
    same = _free_keys(runs)
    told = {key for run in runs for key in run.config if _is_told(key, runs)}
    found.append(_differing("Config", heads, [run.config for run in runs], told - same))
    found.append(
      _differing("Config: how the work is done", heads, [r.config for r in runs], told & same)
    )
    keys = {key for run in runs for key in run.versions} - set(origin.HIDDEN)
    found.append(_differing("Versions and hardware", heads, [r.versions for r in runs], keys))
  return Comparison(names, runs, known, [table for table in found if table.rows])


def to_csv(comparison: Comparison) -> str:
  """Returns a line a run and figure: last metrics, and all numbers of all results."""
  lines = []
  for name, run in zip(comparison.names, comparison.runs, strict=True):
    place = name, str(run.folder)
    for metric in dict.fromkeys(key for line in run.metrics for key in line):
      points = collect.curve(run, metric)
      if points and metric != "step":
        lines.append((*place, f"metric.{metric}", points[-1][0], repr(points[-1][1]), ""))
    for result in run.results:
      for key, value in result.values.items():
        if collect.is_number(value):
          figure = f"{_place(result)}:{key}"
          counted = key in ("top1", "top5")
          images = result.values.get("num_test", "") if counted else ""
          lines.append((*place, figure, result.step, repr(value), images))
  return tables.csv_text(["run", "folder", "figure", "step", "value", "num_test"], lines)


def _check(path: pathlib.Path) -> None:
  if not path.is_dir():
    raise errors.UserError(f"{path} is no folder; give workdirs of runs, e.g. runs/first")
  export_names.refuse(str(path), reading.names_in(path))
  if not any((path / sign).exists() for sign in _SIGNS):
    inside = path / "cells"
    hint = f"it is a study, give {inside}/*" if inside.is_dir() else "give the workdir of a run"
    raise errors.UserError(f"{path} holds no run (no config.json); {hint}")


def _names(paths: Sequence[pathlib.Path]) -> list[str]:
  """Returns the shortest end of each path that no other has."""
  parts = [path.resolve().parts for path in paths]
  names = []
  for own in parts:
    length = 1
    while sum(other[-length:] == own[-length:] for other in parts) > 1:
      length += 1
    names.append("/".join(own[-length:]))
  return names


def _runs(names: Sequence[str], heads: Sequence[str], runs: Sequence[collect.Run]) -> Table:
  rows = []
  for name, head, run in zip(names, heads, runs, strict=True):
    step, total = max((line["step"] for line in run.metrics), default=0), collect.total_steps(run)
    kind, count = origin.devices(run)
    said = run.config.get("method.name", NONE), run.config.get("model.name", NONE)
    rows.append(
      [
        name if head == name else f"{head} {name}",
        *map(str, said),
        f"{step:,} of {total:,}" if total else f"{step:,}",
        str(len(run.results)),
        origin.clock(collect.seconds(run)),
        f"{kind} x {count}",
        "; ".join(run.notes) or NONE,
      ]
    )
  head = ["run", "method", "model", "steps logged", "scores", "time", "devices", "remarks"]
  notes = ["Time: between the first and the last line of metrics.jsonl, pauses included."]
  return Table("Runs", head, rows, notes)


def _curve(heads: Sequence[str], runs: Sequence[collect.Run], metric: str) -> Table:
  """Returns a metric as it went, read at shares of each run's own way so far."""
  name = f"metric.{metric}"
  rows = []
  for head, run in zip(heads, runs, strict=True):
    points = collect.curve(run, metric)
    if points:
      last = points[-1][0]
      upto = [[value for step, value in points if step <= part * last] for part in _PARTS]
      values = [points[0][1], *(found[-1] if found else None for found in upto), points[-1][1]]
      best = min if "loss" in metric else max
      values.append(best(value for _, value in points))
      shown = [NONE if value is None else figures.shown(value, name) for value in values]
      rows.append([head, *shown, f"{last:,}"])
  head = ["run", "first", *(f"at {100 * part:g} %" for part in _PARTS), "last"]
  head += ["lowest" if "loss" in metric else "highest", "last step"]
  return Table(figures.title(name).removeprefix("metric."), head, rows)


def _scores(heads: Sequence[str], runs: Sequence[collect.Run]) -> Table:
  """Returns the top-1 of every result, a column a run."""
  found = [{_place(result): result for result in run.results} for run in runs]
  rows = [
    [place, *(_score(of_run.get(place)) for of_run in found)]
    for place in dict.fromkeys(place for of_run in found for place in of_run)
  ]
  notes = ["± is the standard error that the number of test images alone makes, binomially."]
  if any(not result.complete for run in runs for result in run.results):
    notes.append("*: of an evaluation that did not come to its end.")
  return Table("Scores: top-1, %", ["result", *heads], rows, notes)


def _place(result: collect.Result) -> str:
  return f"{result.file.removesuffix('.json')}/{result.protocol}.{result.layer}.{result.encoder}"


def _score(result: collect.Result | None) -> str:
  top1 = result.values.get("top1") if result else None
  if not collect.is_number(top1):
    return NONE
  images, mark = result.values.get("num_test"), "" if result.complete else " *"
  if not collect.is_number(images) or images < 1:
    return f"{100 * top1:.2f}{mark}"
  error = statistics.binomial_error(top1, images)
  return f"{100 * top1:.2f} ± {100 * error:.2f} ({plural.of(images, 'image')}){mark}"


def _differing(
  title: str, heads: Sequence[str], values: Sequence[Mapping[str, Any]], keys: Iterable[str]
) -> Table:
  """Returns the keys whose values are not the same in all runs that have any."""
  rows = []
  for key in sorted(keys):
    texts = [_shown(of_run[key]) if key in of_run else NONE for of_run in values]
    if len({text for text, of_run in zip(texts, values, strict=True) if of_run}) > 1:
      rows.append([key, *texts])
  absent = any(NONE in row for row in rows)
  return Table(title, ["key", *heads], rows, [f"{NONE}: the run has no such key."] * absent)


def _shown(value: Any) -> str:
  text = "unset" if value is None else str(value) or '""'
  return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{28}\b", r"\1", text)  # a commit


def _is_told(key: str, runs: Sequence[collect.Run]) -> bool:
  """Returns whether a key is none of a data source that no run takes."""
  idle = set(catalogue.sources()) - {run.config.get("data.source") for run in runs}
  return not any(key.startswith(f"data.{name}.") for name in idle)


def _free_keys(runs: Sequence[collect.Run]) -> set[str]:
  """Returns the keys that change no result, of all methods and networks that this package knows."""
  keys: set[str] = set()
  for run in runs:
    with contextlib.suppress(errors.UserError):  # a run of another version of the package
      named = run.config.get("method.name", "simclr"), run.config.get("model.name", "resnet18")
      keys |= config_lib.free_keys(config_lib.pretrain(*named))
  return keys
