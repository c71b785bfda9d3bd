"""The pictures of a report: histogram, spectrum, projections, confusion, time."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from contrastive_jax.report import time_spent
from contrastive_jax.study import canvas

_LEGEND = 10  # classes; of more the colours are not named
_DOT = 7.0


def similarities(
  pairs: Mapping[str, tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"]]],
) -> Figure:
  """Draws cosines of two views of an image, and of two images, a panel a layer."""
  made = canvas.figure(len(pairs), width=4.6, height=2.8)
  row = made.subplots(1, len(pairs), squeeze=False)[0]
  bins = np.linspace(-1, 1, 61)
  for axes, (layer, (positive, negative)) in zip(row, pairs.items(), strict=True):
    for values, name, color in (
      (negative, "two images", canvas.COLORS[0]),
      (positive, "two views of an image", canvas.COLORS[1]),
    ):
      weights = np.full(len(values), 100 / max(len(values), 1))
      axes.hist(values, bins, weights=weights, alpha=0.6, label=name, color=color)
    axes.set(xlabel=f"cosine of {layer}", ylabel="% of pairs", xlim=(-1.02, 1.02))
  row[0].legend(fontsize="small", loc="upper left")
  return made


def spectra(values: Mapping[str, Float[np.ndarray, " F"]]) -> Figure:
  """Draws the shares of the variance that each direction has, the largest first."""
  made = canvas.figure(1, width=4.8, height=3.0)
  axes = made.subplots()
  for (layer, eigenvalues), color in zip(values.items(), canvas.COLORS, strict=False):
    share = eigenvalues / max(eigenvalues.sum(), 1e-30)
    axes.plot(np.arange(1, len(share) + 1), np.maximum(share, 1e-12), label=layer, color=color)
  axes.set(xlabel="direction", ylabel="share of the variance", yscale="log", ylim=(1e-9, 1.5))
  axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}")
  axes.legend(fontsize="small")
  axes.grid(alpha=0.22, color=canvas.INK)
  return made


def projections(
  points: Float[np.ndarray, "n 2"],
  colorings: Mapping[str, tuple[Int[np.ndarray, " n"], Sequence[str]]],
) -> Figure:
  """Draws the same points once for each colouring: {name: (class of each, names of classes)}."""
  across = min(4, max(len(colorings), 1))
  down = -(-len(colorings) // across)
  made = canvas.figure(across, down, width=3.3, height=3.9)
  panels = made.subplots(down, across, squeeze=False).ravel()
  for axes, (name, (label, names)) in zip(panels, colorings.items(), strict=False):
    classes = [int(c) for c in np.unique(label) if c >= 0]
    order = np.random.default_rng(0).permutation(len(points))  # no class lies on top
    color = {c: _color(i, len(classes)) for i, c in enumerate(classes)} | {-1: (0.7, 0.7, 0.7, 1)}
    axes.scatter(
      *points[order].T, s=_DOT, linewidths=0, c=[color.get(int(label[i]), color[-1]) for i in order]
    )
    axes.set(xticks=[], yticks=[])
    axes.set_title(name, fontsize="medium")
    axes.spines[:].set_visible(False)
    if 0 < len(classes) <= _LEGEND:
      for c in classes:
        shown = names[c] if c < len(names) else str(c)
        axes.scatter([], [], s=18, color=color[c], label=str(shown)[:14])
      axes.legend(
        fontsize=7, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=3, handletextpad=0.1,
        columnspacing=0.6,
      )  # fmt: skip
  for axes in panels[len(colorings) :]:
    axes.set_visible(False)
  return made


def confusion(counts: Int[np.ndarray, "C C"], names: Sequence[str]) -> Figure:
  """Draws which class (down) was said to be which (across), in percent of its images."""
  count = len(counts)
  shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
  side = 0.42 if count <= 15 else 0.25
  made = canvas.figure(1, width=side * count + 2.2, height=side * count + 1.4)
  axes = made.subplots()
  axes.imshow(shares, cmap="cividis", vmin=0, vmax=100)
  labels = [str(names[i])[:12] if i < len(names) else str(i) for i in range(count)]
  axes.set_xticks(range(count), labels, rotation=60, ha="right", fontsize="small")
  axes.set_yticks(range(count), labels, fontsize="small")
  axes.set(xlabel="what neighbours say", ylabel="class")
  if count <= 15:
    for i in range(count):
      for j in range(count):
        if shares[i, j] >= 0.5:
          color = "white" if shares[i, j] < 55 else "black"
          axes.text(j, i, f"{shares[i, j]:.0f}", ha="center", va="center", color=color, fontsize=8)
  return made


def time(seconds: Mapping[str, float]) -> Figure:
  """Draws one bar of all the time, by phase."""
  made = canvas.figure(1, width=8.0, height=1.5)
  axes = made.subplots()
  left = 0.0
  total = max(sum(seconds.values()), 1e-9)
  colors = (*canvas.COLORS, canvas.INK)
  for (phase, value), color in zip(seconds.items(), colors, strict=False):
    name = time_spent.PHASES.get(phase, phase)
    label = f"{name} {100 * value / total:.0f} %"
    axes.barh([0], [100 * value / total], left=left, color=color, label=label)
    left += 100 * value / total
  axes.set(yticks=[], xlim=(0, 100), xlabel="% of the time of all sessions")
  axes.spines[["left"]].set_visible(False)
  axes.legend(fontsize="small", ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
  return made


def _color(number: int, count: int) -> tuple[float, ...]:
  if count <= 10:
    return matplotlib.colormaps["tab10"](number)
  return matplotlib.colormaps["tab20" if count <= 20 else "hsv"](
    number if count <= 20 else number / count
  )
