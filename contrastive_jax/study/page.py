"""The page of a study: tables, pictures, curves, commands, versions, time; one file, no network."""

import pathlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ml_collections import ConfigDict

from contrastive_jax.study import (
  collect,
  commands,
  figures,
  layout,
  markup,
  origin,
  questions,
  summary,
  tables,
)
from contrastive_jax.study.cells import Cell
from contrastive_jax.study.tables import NONE, Table

_SPARKS = ("loss", "knn_top1")
_SPARK_CURVES = 200  # a small curve has the points of one among so many
_FOLDER = pathlib.Path("DIR")  # in commands that are shown
_OPEN_ROWS = 12  # of a table that is not folded away


class Part(NamedTuple):
  """What there is to say about one figure."""

  figure: str
  tables: list[tables.Table]  # the first is that of the figure itself
  drawings: dict[str, tuple[str, str]]  # name of a file, without ending: (SVG, what it shows)


class Report(NamedTuple):
  """All that is written."""

  study: ConfigDict
  command: str
  cells: Sequence[Cell]
  runs: dict[str, collect.Run]  # of the cells that have a folder, by name
  rows: list[summary.Row]
  parts: list[Part]
  choices: tables.Table | None
  curves: list[tuple[str, str]]  # metric, SVG
  notes: list[str]


def study(report: Report) -> str:
  """Returns the page."""
  title = report.study.title or report.study.name
  several = len(report.parts) > 1
  sections = [
    (part.figure if several else "Results", _part(part, open_rows=0 if i else _OPEN_ROWS))
    for i, part in enumerate(report.parts)
  ]
  if report.choices:
    sections.append(("Choices", markup.table(report.choices, heading=False)))
  if report.curves:
    sections.append(("Curves", _curves(report)))
  sections += [("Cells", _cells(report)), ("How to repeat it", _commands(report))]
  runs = list(report.runs.values())
  if runs:
    body = markup.table(origin.versions(runs), heading=False)
    sections.append(("Versions and hardware", body))
  return markup.page(title, _lead(report), sections)


def _lead(report: Report) -> str:
  states = summary.count(report.cells, report.runs)
  done = states.pop(layout.DONE, 0)
  runs = list(report.runs.values())
  hours = origin.device_hours(runs)
  values = {
    "cells done": f"{done} of {len(report.cells)}",
    **{state: str(number) for state, number in sorted(states.items())},
    "seeds": len({cell.seed for cell in report.cells}),
    "time of all cells": origin.clock(sum(collect.seconds(run) or 0 for run in runs)),
    **{f"device-hours, {kind}": f"{value:.3g}" for kind, value in hours.items()},
  }
  lines = []
  if states:
    said = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    lines.append(f"Not all cells are done ({said}): figures below are of those that are.")
  return markup.facts(values) + markup.notes([*lines, *report.notes])


def _part(part: Part, open_rows: int) -> str:
  drawn = "".join(markup.picture(svg, alt, name) for name, (svg, alt) in part.drawings.items())
  first, *rest = part.tables
  shown = [f'<div class="plots">{drawn}</div>', markup.table(first, heading=False)]
  for table in rest:
    folded = len(table.rows) > open_rows
    body = markup.table(table, heading=not folded)
    rows = f"{len(table.rows)} row{'s' if len(table.rows) > 1 else ''}"
    shown.append(markup.details(f"{table.title} ({rows})", body) if folded else body)
  return "\n".join(shown)


def _curves(report: Report) -> str:
  drawn = "".join(
    markup.picture(svg, f"{metric} of every cell while it trained", f"curve-{metric}")
    for metric, svg in report.curves
  )
  return f'<div class="plots">{drawn}</div>'


def _cells(report: Report) -> str:
  ranges = {metric: _range(report.runs.values(), metric) for metric in _SPARKS}
  sparks = [metric for metric in _SPARKS if ranges[metric]]
  values = {(row.cell, row.figure): row.value for row in report.rows}
  names = [part.figure for part in report.parts]
  axes = list(dict.fromkeys(axis for cell in report.cells for axis in cell.labels))
  rows = []
  for cell in report.cells:
    run = report.runs.get(cell.name)
    state = summary.state(run)
    row = [*(cell.labels[axis] for axis in axes), str(cell.seed), _state(state, run)]
    for name in names:
      value = values[cell.name, name]
      row.append(NONE if value is None else figures.shown(value, name))
    for metric in sparks:
      points = collect.thinned(collect.curve(run, metric), _SPARK_CURVES) if run else []
      row.append(markup.spark(points, *ranges[metric], f"{metric} of {cell.name}"))
    kind, number = origin.devices(run) if run else (NONE, 0)
    time = collect.seconds(run) if run else None
    row += [origin.clock(time), f"{kind} x {number}" if run else NONE]
    rows.append(row)
  head = [*axes, "seed", "state", *map(figures.title, names), *sparks, "time", "devices"]
  notes = ["Small curves share one scale a column; a dash: nothing there."]
  return markup.table(Table("", head, rows, notes))


def _state(state: str, run: collect.Run | None) -> str:
  """Returns the state of a cell; what went wrong beside it."""
  if state == layout.DONE:
    return state
  why = (run.state.get("error") or run.state.get("exit_code")) if run else None
  said = f"<small>{markup.escape(why)}</small>" if why else ""
  return markup.Html(f'<span class="bad">{markup.escape(state)}</span>{said}')


def _range(runs: Iterable[collect.Run], metric: str) -> tuple[float, float] | None:
  """Returns the least and the largest value of all curves; None if no run has a curve."""
  found = [collect.curve(run, metric) for run in runs]
  values = [value for points in found for _, value in points]
  return (min(values), max(values)) if any(len(points) > 1 for points in found) else None


def _commands(report: Report) -> str:
  lines = [report.command] if report.command else []
  each = [
    commands.shown(commands.train(layout.cell(_FOLDER, cell.name), cell)) for cell in report.cells
  ]
  for question in questions.on_test(report.study):
    words = commands.evaluate(layout.cell(_FOLDER, report.cells[0].name), question)
    each.append(f"# {commands.shown(words)}")
  said = markup.notes([f"{_FOLDER} is the folder of the study; its config is study.json there."])
  shown = markup.commands(lines) if lines else ""
  trained = f"Commands of its {len(report.cells)} cells, and one of each evaluation"
  return shown + said + markup.details(trained, markup.commands(each))
