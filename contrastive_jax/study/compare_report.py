"""The files of a comparison: table.csv, table.md, curves as PNG and SVG, and a page with all."""

import pathlib

from contrastive_jax.study import canvas, compare, curves, layout, markup, own_page, tables


def write(
  comparison: compare.Comparison, folder: pathlib.Path, command: str = ""
) -> list[pathlib.Path]:
  """Writes the files and returns them.

  Args:
    comparison: of runs.
    folder: made if missing.
    command: the line that repeats it.

  Raises:
    SaveFailed: the disk.
  """
  written = []

  def put(name: str, content: str | bytes) -> None:
    layout.write(folder / name, content)
    written.append(folder / name)

  named = zip(comparison.names, comparison.runs, strict=True)
  series = [curves.Series(name, run) for name, run in named]
  each = []
  if comparison.metrics:
    with canvas.settings():
      whole = curves.draw(series, comparison.metrics)
      put("curves.png", canvas.png(whole))
      put("curves.svg", canvas.svg(whole))
      each = [(m, canvas.svg(curves.draw(series, [m]))) for m in comparison.metrics]
  put(own_page.NAME, _page(comparison, each, command))  # the first, by which the others are known
  put("table.csv", compare.to_csv(comparison))
  put("table.md", tables.document(_TITLE, comparison.tables))
  return written


_TITLE = "Runs compared"


def _page(comparison: compare.Comparison, each: list[tuple[str, str]], command: str) -> str:
  first, *rest = comparison.tables
  lead = markup.table(first, heading=False)
  drawn = "".join(
    markup.picture(svg, f"{metric} of each run; the table has figures", f"curve-{metric}")
    for metric, svg in each
  )
  of_curves, others = rest[: len(each)], rest[len(each) :]
  sections = []
  if each:
    body = "\n".join(map(markup.table, of_curves))
    sections.append(("Curves", f'<div class="plots">{drawn}</div>\n{body}'))
  sections += [(table.title, markup.table(table, heading=False)) for table in others]
  if command:
    sections.append(("How to repeat it", markup.commands([command])))
  return markup.page(_TITLE, lead, sections)
