"""Every method on CIFAR-10 with one small network and one budget; writes a table in Markdown.

python benchmarks/methods_cifar10.py --data=DIR --root=runs/methods [--epochs=6] [METHOD ...]

DIR holds the prepared TFDS set (see "Data" in README.md). Each method trains by its own
`configs/METHOD_cifar10.py:cpu` on 10,000 images and is scored on all 10,000 test images. Runs that
are finished are not run again, so the table can grow; without METHOD it is all that have a config.
"""

import pathlib

import scripts
from absl import app, flags

_DATA = flags.DEFINE_string("data", None, "Directory of the prepared TFDS set.", required=True)
_ROOT = flags.DEFINE_string("root", "runs/methods", "Directory of the workdirs.")
_EPOCHS = flags.DEFINE_integer("epochs", 6, "Passes over the 10,000 images.")


def train_and_score(method: str, workdir: pathlib.Path) -> dict[str, dict[str, float]]:
  """Returns {encoder: {protocol: top-1}}; the baselines are scored beside SimCLR."""
  data = f"data.tfds.path={_DATA.value}"
  scripts.train(workdir, f"{method}_cifar10.py:cpu", data, f"epochs={_EPOCHS.value}")
  baselines = "random_init,raw_pixels" if method == "simclr" else ""
  protocols = ("protocols=knn,linear_lbfgs", "layers=h", f"baselines={baselines}")
  table = {}
  for record in scripts.score(workdir, "table", *protocols):
    table.setdefault(record["encoder"], {})[record["protocol"]] = record["top1"]
  return table


def told(workdir: pathlib.Path) -> str:
  """Returns the alarms of a run, in words."""
  if not scripts.collapse_figures(workdir):
    return "not watched"
  return ", ".join(sorted(scripts.alarms(workdir))) or "none"


def main(argv: list[str]) -> None:
  configs = (scripts.HOME / "configs").glob("*_cifar10.py")
  chosen = argv[1:] or sorted(path.stem.removesuffix("_cifar10") for path in configs)
  rows = []
  for method in chosen:
    workdir = pathlib.Path(_ROOT.value) / method
    for encoder, top1 in train_and_score(method, workdir).items():
      name, alarm = (method, told(workdir)) if encoder == "checkpoint" else (encoder, "-")
      rows.append((name, top1["knn"], top1["linear_lbfgs"], alarm))
  print("| | kNN top-1 | linear top-1 | collapse alarms |\n|---|--:|--:|---|")
  for name, knn, linear, alarm in sorted(rows, key=lambda row: -row[1]):
    print(f"| {name} | {100 * knn:.1f} % | {100 * linear:.1f} % | {alarm} |")


if __name__ == "__main__":
  app.run(main)
