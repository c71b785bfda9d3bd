"""What MoCo, LooC and LooC++ keep of the built-in images' factors; writes a table in Markdown.

python benchmarks/looc_shapes.py --root=runs/looc

Six runs of `configs/shapes/looc.py`: MoCo invariant to turns and colours, MoCo that never sees
turns, MoCo that never sees other colours, and LooC keeping rotation, colour, or both. Then linear
probes (L-BFGS on frozen features) of shape, rotation and hue, also of the untrained network.
"""

import pathlib

import scripts
from absl import app, flags

_ROOT = flags.DEFINE_string("root", "runs/looc", "Directory of the workdirs.")

RUNS = {
  "MoCo": ("moco",),
  "MoCo without rotation": ("moco", "augment.rotate=0.0"),
  "MoCo without colour": ("moco", "augment.color_strength=0.0"),
  "LooC rotation": ("rotation",),
  "LooC colour": ("color",),
  "LooC rotation, colour": ("rotation,color",),
}
FACTORS = ("shape", "rotation", "hue")


def main(argv: list[str]) -> None:
  del argv
  print(f"| run | features | {' | '.join(FACTORS)} |\n|---|---|{'--:|' * len(FACTORS)}")
  for name, (kept, *overrides) in RUNS.items():
    workdir = pathlib.Path(_ROOT.value) / name.lower().replace(",", "").replace(" ", "_")
    scripts.train(workdir, f"looc_shapes.py:{kept}", *overrides)
    untrained = "random_init" if name == "MoCo" else ""
    asked = ("layers=h,z", "protocols=linear_lbfgs", f"baselines={untrained}")
    found = {}
    for factor in FACTORS:
      for record in scripts.score(workdir, factor, f"data.label={factor}", *asked):
        row = name if record["encoder"] == "checkpoint" else "untrained", record["layer"]
        found.setdefault(row, []).append(f"{100 * record['top1']:.1f} %")
    for (encoder, layer), figures in found.items():
      print(f"| {encoder} | {layer} | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
  app.run(main)
