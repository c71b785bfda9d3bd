"""The pictures of a study: lines or a grid of means, and ours against the published figures."""

import math
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastive_jax.study import canvas, figures, summary

_WIDE = 8  # labels' largest over smallest from which the axis is logarithmic
_SPREAD = 0.5  # of the way to the next label, taken by the points of one
_CROWDED = 26  # letters of labels side by side on an axis from which they are turned


def lines(
  groups: Sequence[summary.Group], figure: str, x: str, line: str = "", column: str = ""
) -> Figure:
  """Draws means with their standard deviations over x, a panel a column label.

  Numbers are joined by lines. Words have no order, and their points stand by themselves.
  """
  panels = _panels(groups, column)
  labels = summary.axes(groups)[x]
  numbers = [summary.number(label) for label in labels]
  places = numbers if None not in numbers else list(range(len(labels)))
  words = None in numbers
  place = dict(zip(labels, places, strict=True))
  made = canvas.figure(len(panels))
  row = made.subplots(1, len(panels), sharey=True, squeeze=False)[0]
  scale = _scale(figure)
  for axes, (name, members) in zip(row, panels.items(), strict=True):
    names = _labels(groups, line)
    for i, (label, style) in enumerate(zip(names, canvas.styles(), strict=False)):
      shown = [g for g in members if g.values and (not line or g.labels[line] == label)]
      shown.sort(key=lambda g: place[g.labels[x]])
      if shown:
        means = [group.mean for group in shown]
        axes.errorbar(
          [place[group.labels[x]] + (_beside(i, len(names)) if words else 0) for group in shown],
          [scale * mean.mean for mean in means],
          yerr=[scale * (mean.deviation or 0) for mean in means],
          label=label or None,
          capsize=3,
          linewidth=1.6,
          markersize=5,
          **style | ({"linestyle": "none"} if words else {}),
        )
    axes.set_xlabel(x)
    axes.set_title(f"{column} {name}" if column else "", fontsize="medium")
    axes.grid(alpha=0.22, color=canvas.INK)
    axes.margins(x=0.06)
    _ticks(axes, labels, places, words=words, width=4.6)
  row[0].set_ylabel(figures.title(figure))
  canvas.legend(row[-1], row, line)
  if not any(group.values for group in groups):
    row[0].text(0.5, 0.5, "no figures yet", transform=row[0].transAxes, ha="center")
  return made


def grid(
  groups: Sequence[summary.Group], figure: str, x: str, line: str = "", column: str = ""
) -> Figure:
  """Draws means as a grid: `line` downwards, x across, a panel a column label."""
  panels = _panels(groups, column)
  across, down = _labels(groups, x), _labels(groups, line)
  side = 0.72
  width = side * len(across) + 0.11 * max(map(len, down)) + 0.9
  made = canvas.figure(len(panels), width=width, height=side * len(down) + 1.3)
  row = made.subplots(1, len(panels), squeeze=False)[0]
  scale = _scale(figure)
  values = [scale * group.mean.mean for group in groups if group.values]
  low, high = (min(values), max(values)) if values else (0.0, 1.0)
  colors = matplotlib.colormaps["cividis"]
  for axes, (name, members) in zip(row, panels.items(), strict=True):
    cells = [[math.nan] * len(across) for _ in down]
    for group in members:
      i, j = down.index(group.labels.get(line, "")), across.index(group.labels[x])
      if group.values:
        cells[i][j] = scale * group.mean.mean
    mesh = axes.pcolormesh(cells, cmap=colors, vmin=low, vmax=high)
    axes.invert_yaxis()
    for i, of_row in enumerate(cells):
      for j, value in enumerate(of_row):
        share = (value - low) / (high - low) if high > low else 0.5
        color = canvas.INK if math.isnan(value) else "white" if share < 0.55 else "black"
        text = "-" if math.isnan(value) else f"{value:.1f}" if scale == 100 else f"{value:.3g}"
        axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", color=color, fontsize="small")
    axes.set_xlabel(x)
    axes.set_title(f"{column} {name}" if column else "", fontsize="medium")
    turned = side * 10 * 1.1 < max(map(len, across))
    axes.set_xticks([j + 0.5 for j in range(len(across))], across, **(_TURNED if turned else {}))
    axes.set_yticks([i + 0.5 for i in range(len(down))], down)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
  row[0].set_ylabel(line)
  bar = made.colorbar(mesh, ax=list(row), pad=0.02)
  bar.set_label(figures.title(figure))
  bar.outline.set_visible(False)
  return made


def against_published(points: Sequence[summary.Published], figure: str) -> Figure:
  """Draws ours over the published figures, a colour for each combination that print leaves open."""
  made = canvas.figure(1, width=5.6, height=3.8)
  axes = made.subplots()
  scale = _scale(figure)
  shown = [point for point in points if point.group and point.group.values]
  fixed: dict[str, list[summary.Published]] = {}
  for point in shown:
    rest = {a: label for a, label in point.group.labels.items() if a not in point.labels}
    fixed.setdefault(", ".join(f"{a} {label}" for a, label in rest.items()), []).append(point)
  for (name, members), style in zip(fixed.items(), canvas.styles(), strict=False):
    means = [point.group.mean for point in members]
    axes.errorbar(
      [point.value for point in members],
      [scale * mean.mean for mean in means],
      yerr=[scale * (mean.deviation or 0) for mean in means],
      label=name or None,
      capsize=3,
      markersize=5,
      **style | {"linestyle": "none"},
    )
  axes.set(xlabel="published, %", ylabel=f"ours: {figures.title(figure)}")
  axes.grid(alpha=0.22, color=canvas.INK)
  canvas.legend(axes, [axes], "")
  return made


def _panels(groups: Sequence[summary.Group], column: str) -> dict[str, list[summary.Group]]:
  """Returns the groups of each panel, by the label of the column."""
  found: dict[str, list[summary.Group]] = {}
  for group in groups:
    found.setdefault(group.labels.get(column, ""), []).append(group)
  return found


def _labels(groups: Sequence[summary.Group], axis: str) -> list[str]:
  return summary.axes(groups)[axis] if axis else [""]


def _scale(figure: str) -> int:
  return 100 if figures.is_share(figure) else 1


def _beside(number: int, count: int) -> float:
  """Returns how far a point stands beside its label, so that it hides none of the others there."""
  return _SPREAD * (number - (count - 1) / 2) / count


_TURNED = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}


def _ticks(
  axes: Axes, labels: Sequence[str], places: Sequence[float], words: bool, width: float
) -> None:
  """Marks every label; on a logarithmic axis where numbers span much."""
  if not words and min(places) > 0 and max(places) / min(places) >= _WIDE:
    axes.set_xscale("log")
  axes.minorticks_off()
  crowded = sum(map(len, labels)) + 2 * len(labels) > _CROWDED * width / 3.4
  axes.set_xticks(places, labels, **(_TURNED if crowded else {}))
