"""From cells to what a table says: means by labels, what labels change, agreement with print.

Cells that differ in nothing but the seed are a group. An axis whose value was chosen on held-out
images is no label of a group: only the chosen cells are in it.
"""

import fractions
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from contrastive_jax.study import collect, figures, layout, statistics

_TRAINED = (layout.TRAINED, layout.DONE)


class Row(NamedTuple):
  """One figure of one cell."""

  labels: dict[str, str]
  seed: int
  cell: str
  state: str  # "done", or why there may be no value: "failed", "unfinished", "missing"
  figure: str
  value: float | None
  num_test: int | None
  chosen: bool  # whether it stands for its group; all do where nothing is chosen
  images: str  # on which it was scored: "test", "held_out", or "train" of what training logs


class Group(NamedTuple):
  """One figure of the cells that differ in the seed."""

  labels: dict[str, str]
  chosen: dict[str, tuple[str, ...]]  # the labels of axes whose value was chosen
  values: dict[int, float]  # by seed
  states: dict[int, str]  # of seeds without a value
  num_test: int | None

  @property
  def mean(self) -> statistics.Mean | None:
    return statistics.mean(list(self.values.values())) if self.values else None

  @property
  def binomial_error(self) -> float | None:
    """Of a single run of this accuracy; None of what is no share of test images."""
    known = self.num_test and self.values
    return statistics.binomial_error(self.mean.mean, self.num_test) if known else None


class Step(NamedTuple):
  """What another label of an axis changes, the others and the seeds being equal."""

  axis: str
  reference: str  # the first label of the axis
  label: str
  others: dict[str, str]
  difference: statistics.Difference


class Published(NamedTuple):
  """A published figure and the group that it is compared with."""

  labels: dict[str, str]  # of the axes that it names
  value: float  # as published: percent
  source: str
  group: Group | None  # None: no cell has these labels


class Trend(NamedTuple):
  """Agreement of ours with the published figures at fixed labels of the axes they do not name."""

  fixed: dict[str, str]
  n: int  # points that have both
  agreement: statistics.Agreement | None


def state(run: collect.Run | None) -> str:
  """Returns how far a cell is."""
  if run is None:
    return "missing"
  return str(run.state.get("state") or "unfinished")


def count(cells: Iterable[Any], runs: Mapping[str, collect.Run]) -> dict[str, int]:
  """Returns how many cells are in each state."""
  found: dict[str, int] = {}
  for cell in cells:
    of_cell = state(runs.get(cell.name))
    found[of_cell] = found.get(of_cell, 0) + 1
  return found


def rows(
  cells: Iterable[Any],
  runs: Mapping[str, collect.Run],
  names: Sequence[str],
  chosen: Collection[str] | None = None,
  held_out: bool = False,
) -> list[Row]:
  """Returns a row for each cell and figure, in the order of the cells.

  Args:
    cells: of the study.
    runs: of the cells that have a folder, by the name of the cell.
    names: of figures.
    chosen: names of the cells that were chosen; None: nothing is chosen.
    held_out: whether the figures are those on images held out.
  """
  found = []
  for cell in cells:
    run = runs.get(cell.name)
    for name in names:
      of_cell, logged = state(run), name.startswith("metric.")
      known = run and (of_cell in _TRAINED or not logged)  # the last value logged is the last one
      figure = figures.find(run, name, held_out) if known else None
      value, num_test = (figure.value, figure.num_test) if figure else (None, None)
      stands = chosen is None or cell.name in chosen
      images = "held_out" if held_out else "train" if logged else "test"
      place = dict(cell.labels), cell.seed, cell.name, of_cell
      found.append(Row(*place, name, value, num_test, stands, images))
  return found


def groups(rows: Iterable[Row], figure: str, choose: Collection[str] = ()) -> list[Group]:
  """Returns the groups of a figure, in the order of their first cells."""
  found: dict[tuple, Group] = {}
  for row in rows:
    if row.figure != figure:
      continue
    labels = {axis: label for axis, label in row.labels.items() if axis not in choose}
    group = found.setdefault(tuple(labels.values()), Group(labels, {}, {}, {}, None))
    if not row.chosen:
      group.states.setdefault(row.seed, "not chosen yet")
    elif row.value is None:
      group.states[row.seed] = "not scored" if row.state == layout.DONE else row.state
    else:
      group.states.pop(row.seed, None)
      group.values[row.seed] = row.value
      for axis in choose:
        before = group.chosen.get(axis, ())
        if row.labels[axis] not in before:
          group.chosen[axis] = (*before, row.labels[axis])
      found[tuple(labels.values())] = group._replace(num_test=row.num_test)
  for group in found.values():
    for seed in group.values:  # another candidate of the seed was not chosen
      group.states.pop(seed, None)
  return list(found.values())


def axes(groups: Sequence[Group]) -> dict[str, list[str]]:
  """Returns the labels of each axis, in order of appearance."""
  found: dict[str, list[str]] = {}
  for group in groups:
    for axis, label in group.labels.items():
      if label not in found.setdefault(axis, []):
        found[axis].append(label)
  return found


def steps(groups: Sequence[Group]) -> list[Step]:
  """Returns the paired differences from the first label of each axis, where seeds pair."""
  by_labels = {tuple(group.labels.items()): group for group in groups}
  found = []
  for axis, (reference, *rest) in axes(groups).items():
    for group in groups:
      label = group.labels[axis]
      if label not in rest:
        continue
      base = by_labels.get(tuple((group.labels | {axis: reference}).items()))
      seeds = [seed for seed in group.values if base and seed in base.values]
      if seeds:
        pairs = [base.values[seed] for seed in seeds], [group.values[seed] for seed in seeds]
        others = {a: other for a, other in group.labels.items() if a != axis}
        found.append(Step(axis, reference, label, others, statistics.paired(*pairs)))
  return found


def published(entries: Iterable[Mapping[str, Any]], groups: Sequence[Group]) -> list[Published]:
  """Returns the published figures, each beside every group of its labels.

  Args:
    entries: labels of some axes, "value" and "source" each.
    groups: of the figure that was published.
  """
  found = []
  for entry in entries:
    labels = {k: str(v) for k, v in entry.items() if k not in ("value", "source", "figure")}
    value, source = float(entry["value"]), str(entry.get("source", ""))
    same = [g for g in groups if labels.items() <= g.labels.items()]
    found += [Published(labels, value, source, group) for group in same or [None]]
  return found


def trends(points: Sequence[Published]) -> list[Trend]:
  """Returns the agreement of ranks for each combination of labels that print does not name."""
  by_fixed: dict[tuple, list[tuple[float, float]]] = {}
  for point in points:
    if point.group and point.group.values:
      fixed = {a: label for a, label in point.group.labels.items() if a not in point.labels}
      pair = point.group.mean.mean, point.value
      by_fixed.setdefault(tuple(fixed.items()), []).append(pair)
  return [
    Trend(dict(fixed), len(pairs), statistics.agreement(*zip(*pairs, strict=True)))
    for fixed, pairs in by_fixed.items()
  ]


def number(label: str) -> float | None:
  """Returns the number that a label is: "128", "0.5", "1e-3" or "1/8"; None of words."""
  try:
    return float(fractions.Fraction(label))
  except (ValueError, ZeroDivisionError, OverflowError):
    return None
