"""Tables as rows of text, and how they are written: Markdown, CSV, or columns of a console.

The same `Table` becomes a table of the page, see `markup`. table.csv alone has full precision.
"""

import csv
import io
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from contrastive_jax import plural
from contrastive_jax.study import figures, statistics, summary

NONE = "-"


class Table(NamedTuple):
  """A table with its title and the lines under it."""

  title: str
  head: Sequence[str]
  rows: Sequence[Sequence[str]]
  notes: Sequence[str] = ()


def of_groups(
  title: str,
  figure: str,
  groups: Sequence[summary.Group],
  published: Sequence[summary.Published] = (),
) -> Table:
  """Returns mean and standard deviation of each group, and what was published beside it."""
  axes = list(summary.axes(groups))
  chosen = list(dict.fromkeys(axis for group in groups for axis in group.chosen))
  printed: dict[int, list[summary.Published]] = {}
  for point in published:
    if point.group:
      printed.setdefault(id(point.group), []).append(point)
  binomial = any(group.binomial_error is not None for group in groups)
  head = [*axes, *(f"{axis}, chosen" for axis in chosen), figures.title(figure), "n"]
  head += ["chance, 1 run"] if binomial else []
  head += ["published, %", "source"] if printed else []
  head += ["without a figure"] if any(group.states for group in groups) else []
  rows = []
  for group in groups:
    row = [group.labels[axis] for axis in axes]
    row += [" ".join(group.chosen.get(axis, (NONE,))) for axis in chosen]
    row += [of_mean(group.mean, figure), str(len(group.values))]
    if binomial:
      row.append(_binomial(group))
    if printed:
      points = printed.get(id(group), [])
      row.append("; ".join(f"{point.value:g}" for point in points) or NONE)
      row.append("; ".join(point.source for point in points) or NONE)
    if any(other.states for other in groups):
      row.append(_states(group))
    rows.append(row)
  notes = ["Mean ± standard deviation over n seeds (by n - 1; none of one seed)."]
  if binomial:
    notes.append(
      "Chance, 1 run: the standard error that the number of test images alone gives one run's "
      "accuracy, binomially."
    )
  elsewhere = sum(point.group is None for point in published)
  if elsewhere:
    notes.append(f"Published figures whose labels no cell here has: {elsewhere}.")
  if chosen:
    once = "" if figure.startswith("metric.") else "; test images were scored once"
    notes.append(f"Chosen on images held out of the training set{once}.")
  return Table(title, head, rows, notes)


def of_steps(figure: str, steps: Sequence[summary.Step]) -> list[Table]:
  """Returns a table for each axis: what its labels change, paired by seed."""
  found = []
  for axis in dict.fromkeys(step.axis for step in steps):
    of_axis = [step for step in steps if step.axis == axis]
    others = list(of_axis[0].others)
    reference = of_axis[0].reference
    interval = f"{100 * statistics.LEVEL:g} % interval"
    head = [*others, axis, "difference", "standard error", interval, "n"]
    rows = [
      [
        *step.others.values(),
        step.label,
        _signed(step.difference.mean, figure),
        NONE if step.difference.error is None else figures.shown(step.difference.error, figure),
        _interval(step.difference, figure),
        str(step.difference.n),
      ]
      for step in of_axis
    ]
    notes = [
      f"Seed by seed against {axis} {reference}, all else equal; n pairs, interval by Student's t, "
      "of each difference alone."
    ]
    unit = "percentage points" if figures.is_share(figure) else "as it is"
    found.append(Table(f"{figure}: differences from {axis} {reference}, {unit}", head, rows, notes))
  return found


def of_trends(figure: str, trends: Sequence[summary.Trend]) -> Table:
  """Returns how far our order is that of the published figures."""
  fixed = list(dict.fromkeys(axis for trend in trends for axis in trend.fixed))
  level = f"{100 * statistics.LEVEL:g} % interval"
  rows = []
  for trend in trends:
    found = trend.agreement
    row = [trend.fixed.get(axis, NONE) for axis in fixed] + [str(trend.n)]
    if found is None:
      row += [NONE, NONE, NONE]
    else:
      none = found.low is None
      between = NONE if none else f"{found.low:.2f} to {found.high:.2f}"
      p = f"{found.p:.2g}" if found.p >= 1e-4 else "< 0.0001"
      row += [f"{found.rho:.2f}", between, f"{p} ({'exact' if found.exact else 'sampled'})"]
    rows.append(row)
  notes = [
    "Spearman's rank correlation of the means with the published figures, over the points that "
    "have both; interval: percentile bootstrap over these points; p: two-sided permutation test. "
    f"None of fewer than {statistics.MIN_RANKED} points or of equal figures; no interval where "
    "the order is perfect, since every draw of points then agrees."
  ]
  head = [*fixed, "points", "rank correlation", level, "p"]
  return Table(f"{figure}: agreement with the published figures", head, rows, notes)


def of_choices(
  figure: str, candidates: Sequence[summary.Group], chosen: Collection[tuple[str, ...]]
) -> Table:
  """Returns what each candidate scored on the images held out, and which one was chosen.

  Args:
    figure: that chose.
    candidates: groups of it, the axes chosen over among their labels.
    chosen: the labels of those that were.
  """
  head = [*summary.axes(candidates), f"{figures.title(figure)} (held out)", "n", "chosen"]
  rows = [
    [
      *group.labels.values(),
      of_mean(group.mean, figure),
      str(len(group.values)),
      "yes" if tuple(group.labels.values()) in chosen else NONE,
    ]
    for group in candidates
  ]
  notes = ["On images held out of the training set; mean ± standard deviation over n seeds."]
  return Table("What was chosen, and among what", head, rows, notes)


def to_csv(rows: Sequence[summary.Row]) -> str:
  """Returns one line a cell and figure, in their order; shares in [0, 1], all digits."""
  axes = list(dict.fromkeys(axis for row in rows for axis in row.labels))
  head = [*axes, "seed", "cell", "state", "chosen", "figure", "images", "value", "num_test"]
  lines = (
    [
      *(row.labels[axis] for axis in axes),
      *(row.seed, row.cell, row.state, str(row.chosen).lower(), row.figure, row.images),
      "" if row.value is None else repr(row.value),
      "" if row.num_test is None else row.num_test,
    ]
    for row in rows
  )
  return csv_text(head, lines)


def csv_text(head: Sequence[str], rows: Iterable[Sequence]) -> str:
  """Returns rows as CSV with Unix line ends."""
  text = io.StringIO()
  writer = csv.writer(text, lineterminator="\n")
  writer.writerow(head)
  writer.writerows(rows)
  return text.getvalue()


def document(title: str, tables: Iterable[Table], notes: Iterable[str] = ()) -> str:
  """Returns tables in Markdown, each under a heading of its own."""
  parts = [f"# {_markdown(title)}", *map(_markdown, notes)]
  for table in tables:
    numeric = [is_numeric(table, i) for i in range(len(table.head))]
    lines = [
      _markdown_row(table.head),
      "|" + "|".join("--:" if right else "---" for right in numeric) + "|",
      *map(_markdown_row, table.rows),
    ]
    parts.append("\n\n".join([f"## {_markdown(table.title)}", "\n".join(lines), *table.notes]))
  return "\n\n".join(parts) + "\n"


def text(table: Table) -> str:
  """Returns a table in columns, for a console."""
  rows = [table.head, *table.rows]
  widths = [max(len(row[i]) for row in rows) for i in range(len(table.head))]
  numeric = [is_numeric(table, i) for i in range(len(table.head))]
  lines = [table.title]
  for row in rows:
    parts = zip(row, widths, numeric, strict=True)
    cells = (part.rjust(width) if right else part.ljust(width) for part, width, right in parts)
    lines.append(("  " + "  ".join(cells)).rstrip())
  return "\n".join([*lines, *(f"  ({note})" for note in table.notes)]) + "\n"


def sort_key(text: str) -> float | None:
  """Returns the number that a cell of a table begins with, None of words."""
  first = text.split()[0].rstrip(",%").replace(",", "") if text.split() else ""
  return summary.number(first)


def of_mean(mean: statistics.Mean | None, figure: str) -> str:
  """Returns "mean ± deviation"."""
  if mean is None:
    return NONE
  spread = "" if mean.deviation is None else f" ± {figures.shown(mean.deviation, figure)}"
  return figures.shown(mean.mean, figure) + spread


def _binomial(group: summary.Group) -> str:
  if group.binomial_error is None:
    return NONE
  return f"{100 * group.binomial_error:.2f} ({plural.of(group.num_test, 'image')})"


def _states(group: summary.Group) -> str:
  seeds: dict[str, list[str]] = {}
  for seed, state in sorted(group.states.items()):
    seeds.setdefault(state, []).append(str(seed))
  parts = (
    f"seed{'s' if len(of_state) > 1 else ''} {', '.join(of_state)} {state}"
    for state, of_state in seeds.items()
  )
  return "; ".join(parts) or NONE


def _signed(value: float, figure: str) -> str:
  return ("+" if value > 0 else "") + figures.shown(value, figure)


def _interval(difference: statistics.Difference, figure: str) -> str:
  if difference.low is None:
    return NONE
  return f"{_signed(difference.low, figure)} to {_signed(difference.high, figure)}"


def is_numeric(table: Table, column: int) -> bool:
  """Returns whether a column holds numbers, so that it is set to the right and sorted by them."""
  cells = [row[column] for row in table.rows if row[column] != NONE]
  return bool(cells) and all(sort_key(cell) is not None for cell in cells)


def _markdown_row(cells: Sequence[str]) -> str:
  return "| " + " | ".join(map(_markdown, cells)) + " |"


def _markdown(text: str) -> str:
  """Returns text that no reader of Markdown takes for a border or for HTML."""
  return " ".join(text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").split())
