"""Curves of runs while they train, a panel a metric: those of a study's cells or of any runs."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from contrastive_jax.study import canvas, collect, figures


class Series(NamedTuple):
  """A run and what its curve is called; runs of one name share colour and legend."""

  name: str
  run: collect.Run


def draw(series: Sequence[Series], metrics: Sequence[str], title: str = "") -> Figure:
  """Draws metrics over epochs, or over steps where a run does not tell its epochs."""
  rates = {id(one.run): collect.steps_per_epoch(one.run) for one in series}
  by_epoch = all(rates[id(one.run)] for one in series if one.run.metrics)
  across = min(len(metrics), 2)
  down = -(-len(metrics) // max(across, 1))
  made = canvas.figure(across, down)
  panels = made.subplots(down, across, squeeze=False).ravel()
  names = list(dict.fromkeys(one.name for one in series))
  style = dict(zip(names, canvas.styles(), strict=False))
  for axes, metric in zip(panels, metrics, strict=False):
    scale = 100 if figures.is_share(f"metric.{metric}") else 1
    named = set()
    for one in series:
      points = collect.thinned(collect.curve(one.run, metric), len(series))
      if points:
        rate = rates[id(one.run)] if by_epoch else 1
        axes.plot(
          [step / rate for step, _ in points],
          [scale * value for _, value in points],
          label=None if one.name in named else one.name,
          linewidth=1.3,
          markersize=4,
          alpha=0.8,
          **style[one.name] | ({} if len(points) <= 12 else {"marker": ""}),
        )
        named.add(one.name)
    axes.set_xlabel("epoch" if by_epoch else "step")
    axes.set_title(figures.title(f"metric.{metric}").removeprefix("metric."), fontsize="medium")
    axes.grid(alpha=0.22, color=canvas.INK)
  for axes in panels[len(metrics) :]:
    axes.set_visible(False)
  if len(names) > 1 and len(metrics):
    canvas.legend(panels[across - 1], panels, title)
  return made
