"""Draws loss, contrastive accuracy and kNN of runs over epochs, from their metrics.jsonl.

python benchmarks/curves.py --out=docs/curves.png LABEL=WORKDIR [LABEL=WORKDIR ...]
"""

import json
import pathlib

from absl import app, flags
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_OUT = flags.DEFINE_string("out", "curves.png", "The picture that is written.")

PANELS = (
  ("loss", "loss", 1),
  ("contrastive_accuracy", "contrastive accuracy, %", 100),
  ("knn_top1", "kNN top-1, %", 100),
)


def read(workdir: str) -> list[dict[str, float]]:
  """Returns the lines of a run's metrics, each with its epoch."""
  lines = [json.loads(line) for line in (pathlib.Path(workdir) / "metrics.jsonl").open()]
  steps_per_epoch = next(r["step"] / r["epoch"] for r in lines if "epoch" in r)
  return [{"epoch": r["step"] / steps_per_epoch} | r for r in lines]


def main(argv: list[str]) -> None:
  runs = dict(argument.split("=", 1) for argument in argv[1:])
  figure = Figure(figsize=(10, 3), layout="constrained")
  FigureCanvasAgg(figure)
  axes = figure.subplots(1, len(PANELS))
  for label, workdir in runs.items():
    records = read(workdir)
    for axis, (key, _, factor) in zip(axes, PANELS, strict=True):
      points = [(r["epoch"], factor * r[key]) for r in records if r.get(key) is not None]
      axis.plot(*zip(*points, strict=True), marker="o", markersize=3, label=label)
  for axis, (_, title, _) in zip(axes, PANELS, strict=True):
    axis.set(xlabel="epoch", title=title)
    axis.grid(alpha=0.3)
  axes[0].legend()
  figure.savefig(_OUT.value, dpi=120)


if __name__ == "__main__":
  app.run(main)
