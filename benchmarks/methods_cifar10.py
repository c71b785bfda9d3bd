"""Every method on CIFAR-10 with one small network and one budget; writes a table in Markdown.

python benchmarks/methods_cifar10.py --data=DIR --root=runs/methods [--epochs=10] [METHOD ...]

DIR holds the prepared TFDS set (see "Data" in README.md). Each method trains by its own
`configs/METHOD_cifar10.py:cpu` on 10,000 images and is scored on all 10,000 test images. Runs that
are finished are not run again, so the table can grow; without METHOD it is all that have a config.
"""

import json
import pathlib
import subprocess
import sys

from absl import app, flags

from contrastive_jax import collapse

_DATA = flags.DEFINE_string("data", None, "Directory of the prepared TFDS set.", required=True)
_ROOT = flags.DEFINE_string("root", "runs/methods", "Directory of the workdirs.")
_EPOCHS = flags.DEFINE_integer("epochs", 10, "Passes over the 10,000 images.")

HOME = pathlib.Path(__file__).resolve().parent.parent
BASELINES = ("random_init", "raw_pixels")


def run(*arguments: str) -> None:
  subprocess.run([sys.executable, *arguments], cwd=HOME, check=True)


def train_and_score(method: str, workdir: pathlib.Path) -> dict:
  """Returns what eval.py wrote, after training if that has not been done."""
  result = workdir / "eval" / "table.json"
  if not result.exists():
    run(
      "train.py",
      f"--config=configs/{method}_cifar10.py:cpu",
      f"--workdir={workdir}",
      f"--config.data.tfds.path={_DATA.value}",
      f"--config.epochs={_EPOCHS.value}",
    )
    run(
      "eval.py",
      "--config=configs/eval/all.py",
      f"--workdir={workdir}",
      "--config.name=table",
      "--config.protocols=knn,linear_lbfgs",
      "--config.layers=h",
      f"--config.baselines={','.join(BASELINES) if method == 'simclr' else ''}",
    )
  return json.loads(result.read_text())


def scores(found: dict) -> dict[str, dict[str, float]]:
  """Returns {encoder: {protocol: top-1}}."""
  table = {}
  for record in found["results"]:
    table.setdefault(record["encoder"], {})[record["protocol"]] = record["top1"]
  return table


def alarms(workdir: pathlib.Path) -> str:
  """Returns the kinds of collapse that the run's log shows, by the limits of its own config."""
  monitor = json.loads((workdir / "config.json").read_text())["monitor"]
  limits = {name: monitor[name] for name in ("min_std", "min_rank", "max_cosine")}
  lines = [json.loads(line) for line in (workdir / "metrics.jsonl").open()]
  figures = [
    {name: line[f"collapse_{name}"] for name in ("std", "rank", "cosine")}
    for line in lines
    if "collapse_std" in line and line["step"] >= monitor["alarm_after_steps"]
  ]
  kinds = {kind for each in figures for kind in collapse.alarms(each, **limits)}
  return ", ".join(sorted(kinds)) or ("none" if figures else "not watched")


def main(argv: list[str]) -> None:
  configs = (HOME / "configs").glob("*_cifar10.py")
  chosen = argv[1:] or sorted(path.stem.removesuffix("_cifar10") for path in configs)
  rows = []
  for method in chosen:
    workdir = pathlib.Path(_ROOT.value).absolute() / method
    found = scores(train_and_score(method, workdir))
    for encoder, top1 in found.items():
      name, alarm = (method, alarms(workdir)) if encoder == "checkpoint" else (encoder, "-")
      rows.append((name, top1["knn"], top1["linear_lbfgs"], alarm))
  print("| | kNN top-1 | linear top-1 | collapse alarms |\n|---|--:|--:|---|")
  for name, knn, linear, alarm in sorted(rows, key=lambda row: -row[1]):
    print(f"| {name} | {100 * knn:.1f} % | {100 * linear:.1f} % | {alarm} |")


if __name__ == "__main__":
  app.run(main)
