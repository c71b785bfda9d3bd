"""Every method on CIFAR-10 with one small network and one budget; writes a table in Markdown.

python benchmarks/methods_cifar10.py --data=DIR --root=runs/methods [--epochs=6] [METHOD ...]

DIR holds the prepared TFDS set (see docs/data.md). Each method trains by its own
`configs/cifar10/METHOD.py:cpu` on 10,000 images and is scored on all 10,000 test images, beside the
same network untrained: same layer, same pixels. Runs that are finished are not run again, so the
table can grow; without METHOD it is all that have a config, and their variants below.

Tasks made from the image itself are also probed at earlier blocks, which know less of the task
(Kolesnikov et al., CVPR 2019), and what has learnt from patches is scored on patches.
"""

import json
import pathlib
import time

import scripts
from absl import app, flags

_DATA = flags.DEFINE_string("data", None, "Directory of the prepared TFDS set.", required=True)
_ROOT = flags.DEFINE_string("root", "runs/methods", "Directory of the workdirs.")
_EPOCHS = flags.DEFINE_integer("epochs", 6, "Passes over the 10,000 images.")

_EARLIER = "layers=block2,block3,h", "max_features=600"
_PUZZLE = (*_EARLIER, "patch_grid=3")
_SCORED = {  # how, where it is not on h of the whole image
  "autoencoder": _EARLIER,
  "context_encoder": _EARLIER,
  "exemplar": _EARLIER,
  "feature_map": _EARLIER,
  "jigsaw": _PUZZLE,
  "patches": (*_EARLIER, "patch_grid=2", "patch_fraction=1.0"),
  "relative_patch": _PUZZLE,
  "rotation": _EARLIER,
}
_VARIANTS = {  # name: config, what it is told besides
  "dclw": ("cifar10/dcl.py:cpu", "method.weighted=True"),
  "feature_map": (
    "cifar10/patches.py:cpu",
    "image_size_px=32",
    "method.form=feature_map",
    "method.layer=block2",
    "method.grid=4",
    "method.min_area=0.4",
    "method.temperature=0.07",
    "method.stop_keys=True",
  ),
  "infonce_dot": ("cifar10/infonce.py:cpu", "method.similarity=dot", "method.temperature=10.0"),
  "margin_all": ("cifar10/margin.py:cpu", "method.semi_hard=False"),
  "moco_v1": ("cifar10/moco.py:cpu", "method.head=linear", "method.temperature=0.07"),
  "moco_v3_vit": ("cifar10/moco_v3.py:cpu_vit",),
  "nt_logistic_semi_hard": ("cifar10/nt_logistic.py:cpu", "method.semi_hard=True"),
  "simclr_v2_head": ("cifar10/simclr.py:cpu", "method.head_layers=3"),
  "triplet_all": ("cifar10/triplet.py:cpu", "method.mining=all"),
  "triplet_hard": ("cifar10/triplet.py:cpu", "method.mining=hard"),
}


def train_and_score(name: str, workdir: pathlib.Path) -> tuple[dict, float]:
  """Returns {(encoder, layer): {protocol: top-1}} and the minutes that training took."""
  config, *overrides = _VARIANTS.get(name, (f"cifar10/{name}.py:cpu",))
  overrides = (f"data.tfds.path={_DATA.value}", f"epochs={_EPOCHS.value}", *overrides)
  clock, begun = workdir / "minutes.json", time.monotonic()
  scripts.train(workdir, config, *overrides)
  if not clock.exists():
    clock.write_text(json.dumps((time.monotonic() - begun) / 60))
  baselines = "random_init,raw_pixels" if name == "simclr" else "random_init"
  asked = _SCORED.get(name, ("layers=h",))
  protocols = ("protocols=knn,linear_lbfgs", f"baselines={baselines}", *asked)
  table = {}
  for record in scripts.score(workdir, "table", *protocols):
    key = record["encoder"], record["layer"]
    table.setdefault(key, {})[record["protocol"]] = record["top1"]
  return table, json.loads(clock.read_text())


def told(workdir: pathlib.Path) -> str:
  """Returns the alarms of a run, in words."""
  if not scripts.collapse_figures(workdir):
    return "not watched"
  return ", ".join(sorted(scripts.alarms(workdir))) or "none"


def row(name: str, *top1: dict, rest: tuple = ("", "")) -> str:
  """Returns a row of the table: kNN and linear of each encoder in turn."""
  scores = [f"{100 * t[p]:.1f} %" for t in top1 for p in ("knn", "linear_lbfgs")]
  return "| " + " | ".join((name, *scores, *[""] * (4 - len(scores)), *rest)) + " |"


def main(argv: list[str]) -> None:
  chosen = argv[1:] or [*scripts.cifar10_methods(), *_VARIANTS]
  rows = []
  for method in chosen:
    workdir = pathlib.Path(_ROOT.value) / method
    table, minutes = train_and_score(method, workdir)
    for (encoder, layer), top1 in table.items():
      if encoder == "checkpoint":
        untrained = table["random_init", layer]
        rest = told(workdir), f"{minutes:.1f}"
        rows.append((top1["knn"], row(f"{method}, {layer}", top1, untrained, rest=rest)))
      elif encoder == "raw_pixels":
        rows.append((top1["knn"], row("*raw pixels*", top1)))
  print("| | kNN | linear | untrained: kNN | linear | alarms | minutes |")
  print("|---|--:|--:|--:|--:|---|--:|")
  for _, line in sorted(rows, reverse=True):
    print(line)


if __name__ == "__main__":
  app.run(main)
