"""The report of a study: table.csv, table.md, pictures, and a page with all of it.

Written from what the folders of cells hold now: what is missing or failed is shown as such.
"""

import pathlib
from collections.abc import Sequence

from ml_collections import ConfigDict

from contrastive_jax.study import (
  canvas,
  choose,
  collect,
  curves,
  figures,
  layout,
  page,
  plots,
  summary,
  tables,
)
from contrastive_jax.study.cells import Cell
from contrastive_jax.study.page import Part, Report


def write(
  study: ConfigDict, cells: Sequence[Cell], root: pathlib.Path, command: str = ""
) -> list[pathlib.Path]:
  """Writes DIR/report from whatever cells are done, and returns its files.

  Args:
    study: its config.
    cells: all of it, or those that were asked for.
    root: DIR.
    command: the line that repeats the study.

  Raises:
    ReadFailed, SaveFailed: the disk.
  """
  folder, written = layout.report(root), []

  def put(name: str, content: str | bytes) -> None:
    layout.write(folder / name, content)
    written.append(folder / name)

  cells = [cell for cell in cells if not choose.is_passed_over(study, root, cell)]
  runs = {}
  for cell in cells:
    place = layout.cell(root, cell.name)
    if place.is_dir():
      runs[cell.name] = collect.read(place)
  names = list(dict.fromkeys((study.measure, *study.also)))
  chosen = _chosen(study, cells, root)
  rows = summary.rows(cells, runs, names, chosen)
  by = study.choose_by or study.measure
  choosing = [cell for cell in cells if choose.has_a_say(study, cell)]
  candidates = summary.rows(choosing, runs, [by], held_out=True)
  with canvas.settings():
    parts = []
    for number, name in enumerate(names):
      part, pictures = _part(study, rows, name, "" if number == 0 else f"_{_file_name(name)}")
      parts.append(part)
      for file, picture in pictures.items():
        put(f"{file}.png", picture)
        put(f"{file}.svg", part.drawings[file][0])
    drawn, whole = _curves(study, cells, runs)
    if whole:
      put("curves.png", whole[0])
      put("curves.svg", whole[1])
  report = Report(
    study=study,
    cells=cells,
    runs=runs,
    command=command,
    rows=rows,
    parts=parts,
    choices=_choices(by, candidates, cells, chosen) if study.choose else None,
    curves=drawn,
    notes=_notes(cells, runs, names),
  )
  held_out = [row._replace(chosen=row.cell in chosen) for row in candidates]
  put("table.csv", tables.to_csv([*rows, *held_out]))
  put("table.md", _markdown(report))
  put("index.html", page.study(report))
  return written


def _part(
  study: ConfigDict, rows: Sequence[summary.Row], figure: str, suffix: str
) -> tuple[Part, dict[str, bytes]]:
  """Returns what there is to say about a figure, and its pictures as PNG by name."""
  groups = summary.groups(rows, figure, study.choose)
  entries = [e for e in study.published if e.get("figure", study.measure) == figure]
  published = summary.published(entries, groups)
  title = figure if len({row.figure for row in rows}) > 1 else "Results"
  found = [tables.of_groups(title, figure, groups, published)]
  made = {}
  if study.x:
    draw = plots.grid if study.show == "grid" else plots.lines
    made[f"plot{suffix}"] = (
      draw(groups, figure, study.x, study.line, study.column),
      _alt(study, figure),
    )
  if any(point.group and point.group.values for point in published):
    found.append(tables.of_trends(figure, summary.trends(published)))
    made[f"published{suffix}"] = (
      plots.against_published(published, figure),
      f"{figure} of this study over the published figures; the table of agreement has the ranks",
    )
  found += tables.of_steps(figure, summary.steps(groups))
  drawings = {name: (canvas.svg(picture), alt) for name, (picture, alt) in made.items()}
  pictures = {name: canvas.png(picture) for name, (picture, _) in made.items()}
  return Part(figure, found, drawings), pictures


def _alt(study: ConfigDict, figure: str) -> str:
  how = "Grid of" if study.show == "grid" else "Lines of"
  line = f", by {study.line}" if study.line else ""
  column = f", a panel for each {study.column}" if study.column else ""
  bars = "" if study.show == "grid" else "; bars are standard deviations over seeds"
  return f"{how} {figure} over {study.x}{line}{column}{bars}; the table has the figures"


def _chosen(study: ConfigDict, cells: Sequence[Cell], root: pathlib.Path) -> set[str] | None:
  """Returns the names of the cells that were chosen; None where nothing is chosen over."""
  if not study.choose:
    return None
  return {cell.name for cell in cells if choose.is_chosen(study, root, cell)}


def _choices(
  by: str, rows: Sequence[summary.Row], cells: Sequence[Cell], chosen: set[str]
) -> tables.Table:
  labels = {tuple(cell.labels.values()) for cell in cells if cell.name in chosen}
  return tables.of_choices(by, summary.groups(rows, by), labels)


def _curves(
  study: ConfigDict, cells: Sequence[Cell], runs: dict[str, collect.Run]
) -> tuple[list[tuple[str, str]], tuple[bytes, str] | None]:
  """Returns each metric's curves as SVG, and all together as PNG and SVG."""
  axis = next((a for a in (study.line, study.column, study.x) if a), None)
  series = [
    curves.Series(cell.labels[axis] if axis else "", runs[cell.name])
    for cell in cells
    if cell.name in runs
  ]
  metrics = collect.present([one.run for one in series])
  if not metrics:
    return [], None
  each = [(m, canvas.svg(curves.draw(series, [m], axis or ""))) for m in metrics]
  whole = curves.draw(series, metrics, axis or "")
  return each, (canvas.png(whole), canvas.svg(whole))


def _notes(cells: Sequence[Cell], runs: dict[str, collect.Run], names: Sequence[str]) -> list[str]:
  """Returns what a reader of the figures should know of single cells."""
  notes = []
  for cell in cells:
    run = runs.get(cell.name)
    for note in run.notes if run else ():
      notes.append(f"{cell.name}: {note}")
    for name in names if run else ():
      found = figures.find(run, name)
      if found and found.others:
        notes.append(
          f"{cell.name}: {name} is that of the first file by name; {', '.join(found.others)} "
          "has another: name one, as FILE/" + name
        )
  return notes


def _markdown(report: Report) -> str:
  shown = [table for part in report.parts for table in part.tables]
  shown += [report.choices] if report.choices else []
  title = report.study.title or report.study.name
  return tables.document(title, shown, report.notes)


def _file_name(figure: str) -> str:
  return "".join(letter if letter.isalnum() else "_" for letter in figure)
