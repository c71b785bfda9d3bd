"""Three methods without what keeps them from collapsing; writes a table in Markdown.

python benchmarks/collapse.py --data=DIR --root=runs/collapse [--epochs=1]

DIR holds the prepared TFDS set (see docs/data.md). CIFAR-10, the `:cpu` configs, 156 steps
an epoch; the log is read every 5 steps. The alarms of the sound methods are in the table of
methods_cifar10.py.
"""

import pathlib

import scripts
from absl import app, flags

_DATA = flags.DEFINE_string("data", None, "Directory of the prepared TFDS set.", required=True)
_ROOT = flags.DEFINE_string("root", "runs/collapse", "Directory of the workdirs.")
_EPOCHS = flags.DEFINE_integer("epochs", 1, "Passes over the 10,000 images.")

BROKEN = {
  "simsiam": "method.stop_gradient=False",
  "byol": "method.predictor=False",
  "barlow": "method.redundancy_weight=0.0",
}


def main(argv: list[str]) -> None:
  del argv
  data = f"data.tfds.path={_DATA.value}"
  rest = (f"epochs={_EPOCHS.value}", "monitor.every_epochs=0", "log.every_steps=5")
  print("| | first alarm | std | rank | cosine |\n|---|---|--:|--:|--:|")
  for method, without in BROKEN.items():
    workdir = pathlib.Path(_ROOT.value) / method
    scripts.train(workdir, f"cifar10/{method}.py:cpu", data, *rest, without)
    first = scripts.alarms(workdir)
    told = ", ".join(f"{kind} at step {step}" for kind, step in first.items()) or "none"
    last = scripts.collapse_figures(workdir).popitem()[1]
    figures = f"{last['std']:.3f} | {last['rank']:.1f} | {last['cosine']:.3f}"
    print(f"| {method} {without.removeprefix('method.')} | {told} | {figures} |", flush=True)


if __name__ == "__main__":
  app.run(main)
