"""What a run's folder holds, read without JAX: config, versions, metrics, results of evaluations.

Nothing here fails because something is missing, unfinished or damaged: a table shows it as such.
"""

import math
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from contrastive_jax import errors, metric_lines, reading, stored

METRICS = ("loss", "contrastive_accuracy", "online_accuracy", "knn_top1")  # whose curves are shown
_MAX_POINTS = 200  # of a curve; more could not be told apart in a picture
_MIN_POINTS, _ALL_POINTS = 24, 8000  # of a curve among many, and of all of a picture
_NO_FIGURE = ("picture",)  # protocols without one


class Result(NamedTuple):
  """A record of an evaluation."""

  name: str  # of the evaluation
  file: str
  step: int  # of the checkpoint
  protocol: str
  layer: str
  encoder: str
  held_out: bool  # scored on images held out of the training set
  values: dict[str, Any]  # the record: top1, top5, num_test, ...
  complete: bool  # whether the evaluation came to its end


class Run(NamedTuple):
  """What is known of a run."""

  folder: pathlib.Path | str
  config: dict[str, Any]  # by dotted key; empty if there is none
  versions: dict[str, Any]
  metrics: list[dict[str, Any]]  # lines of metrics.jsonl
  results: list[Result]
  state: dict[str, Any]  # cell.json of a study
  notes: list[str]  # what could not be read


def read(folder: pathlib.Path) -> Run:
  """Reads a run. Raises `ReadFailed` where the system cannot, for now."""
  notes: list[str] = []
  config = _object(folder / "config.json", notes, _flat)
  metrics = _lines(folder / "metrics.jsonl", notes)
  results = []
  for path in sorted(folder.glob("eval/*.json")):
    results += _results(path, notes)
  return Run(
    folder=folder,
    config=config,
    versions=_object(folder / "versions.json", notes),
    metrics=metrics,
    results=results,
    state=_object(folder / "cell.json", notes),
    notes=notes,
  )


def curve(run: Run, metric: str) -> list[tuple[int, float]]:
  """Returns (step, value) of every line that has a finite value of a metric, by step."""
  values = ((line["step"], line.get(metric)) for line in run.metrics)
  points = [(step, float(value)) for step, value in values if is_number(value)]
  return sorted(points, key=lambda point: point[0])


def thinned(points: Sequence[tuple[int, float]], curves: int = 1) -> list[tuple[int, float]]:
  """Returns a few points, evenly chosen, the first and the last among them.

  Args:
    points: of a curve.
    curves: in the picture; where there are many each has fewer points.
  """
  most = max(_MIN_POINTS, min(_MAX_POINTS, _ALL_POINTS // curves))
  if len(points) <= most:
    return list(points)
  last = len(points) - 1
  return [points[round(i * last / (most - 1))] for i in range(most)]


def present(runs: Sequence[Run], metrics: Sequence[str] = METRICS) -> list[str]:
  """Returns the metrics that some run has."""
  return [metric for metric in metrics if any(curve(run, metric) for run in runs)]


def steps_per_epoch(run: Run) -> float | None:
  """Returns how many steps an epoch has, None if no line tells it."""
  for line in reversed(run.metrics):
    if is_number(line.get("epoch")) and line["epoch"] > 0 and line["step"] > 0:
      return line["step"] / line["epoch"]
  return None


def total_steps(run: Run) -> int | None:
  """Returns how many steps the whole run takes, as far as its lines tell it."""
  rate, epochs = steps_per_epoch(run), run.config.get("epochs")
  if is_number(run.config.get("steps")):
    return run.config["steps"]
  return round(rate * epochs) if rate and is_number(epochs) else None


def seconds(run: Run) -> float | None:
  """Returns how long a run took: as cell.json has it, or between its first and last line."""
  if is_number(run.state.get("seconds")):
    return float(run.state["seconds"])
  times = [line["time"] for line in run.metrics if is_number(line.get("time"))]
  return max(times) - min(times) if len(times) > 1 else None


def is_number(value: Any) -> bool:
  """Returns whether a value of a JSON file is a finite number."""
  if isinstance(value, bool) or not isinstance(value, int | float):
    return False
  return math.isfinite(value) if isinstance(value, float) else abs(value) < 2**63


def _results(path: pathlib.Path, notes: list[str]) -> list[Result]:
  found = _object(path, notes)
  records = found.get("results")
  if not isinstance(records, list):
    return []
  step = found.get("checkpoint_step")
  if _asked(found, "init", "path"):
    notes.append(f"{path.name} has scores of other weights (init.path), which are left out")
    return []
  held_out = bool(_asked(found, "data", "held_out"))
  results = []
  for record in records:
    named = isinstance(record, dict) and all(
      isinstance(record.get(key), str) for key in ("protocol", "layer", "encoder")
    )
    if named and record["protocol"] not in _NO_FIGURE:
      place = record["protocol"], record["layer"], record["encoder"]
      origin = str(found.get("name", path.stem)), path.name, step if isinstance(step, int) else 0
      results.append(Result(*origin, *place, held_out, record, bool(found.get("complete", True))))
  return results


def _asked(found: dict[str, Any], section: str, key: str) -> Any:
  """Returns what the config of an evaluation says, None if nothing."""
  config = found.get("config")
  part = config.get(section) if isinstance(config, dict) else None
  return part.get(key) if isinstance(part, dict) else None


def _object(
  path: pathlib.Path, notes: list[str], form: Callable[[dict[str, Any]], dict[str, Any]] = dict
) -> dict[str, Any]:
  """Returns the object in a JSON file, formed; an empty one, and a note, if it is damaged."""
  try:
    content = reading.content(path)
    return {} if content is None else form(stored.parsed(content))
  except (ValueError, RecursionError):  # among the former: it is a folder, or another user's
    notes.append(f"{path.name} cannot be read")
    return {}


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
  """Returns {dotted key: value}; not `config.flatten`, whose sections refuse odd keys."""
  flat = {}
  for key, value in config.items():
    nested = isinstance(value, dict)
    flat |= _flat(value, f"{prefix}{key}.") if nested else {prefix + key: value}
  return flat


def _lines(path: pathlib.Path, notes: list[str]) -> list[dict[str, Any]]:
  """Returns the lines of metrics.jsonl; the last one of a killed run may be cut off."""
  kept, damaged = [], 0
  try:
    for line in metric_lines.read(path):
      if line is None:
        damaged += 1
      else:
        kept.append(line)
  except errors.UserError:
    notes.append(f"{path.name} cannot be read")
  if damaged:
    notes.append(f"{path.name}: {damaged} damaged line{'s' if damaged > 1 else ''} left out")
  return kept
