"""What LooC keeps: rotation and colour beside the class (LooC, Table 1).

contrastive_jax study --config=studies/looc:cpu --workdir=runs/looc     # built-in images
contrastive_jax study --config=studies/looc --workdir=runs/looc_gpu     # the same, five seeds
contrastive_jax study --config=studies/looc:paper --workdir=runs/looc_paper   # ImageNet

The built-in images have factors that are known: the probes' labels are shape, rotation and hue, on
h (LooC) and on z (LooC++). MoCo, invariant to all, is the yardstick. On ImageNet the class alone.
"""

from contrastive_jax.configs import common
from contrastive_jax.study import config as study_config

KEPT = ("moco", "rotation", "color", "rotation+color")


def get_config(size="gpu"):
  if size == "paper":
    study = common.study("looc", "What LooC keeps", size, "looc")
    study.axes = {
      "kept": {
        "moco": {"config": "imagenet/moco_v2"},
        "rotation": {"method.kept": ("rotation",)},
        "color": {"method.kept": ("color",)},
        "rotation+color": {"method.kept": ("rotation", "color")},
      }
    }
    study.x = "kept"
    return study
  if size not in ("cpu", "gpu"):
    raise ValueError(f'size "{size}" is unknown; use one of cpu, gpu, paper')
  study = study_config.study("looc", base="shapes/looc:moco")
  study.title = "What LooC keeps"
  study.axes = {"kept": {k: {"config": f"shapes/looc:{k.replace('+', ',')}"} for k in KEPT}}
  study.seeds = (0, 1, 2) if size == "cpu" else (0, 1, 2, 3, 4)
  study.evaluations = ("eval/factor:shape", "eval/factor:rotation", "eval/factor:hue")
  study.measure, *study.also = (
    f"factor_{factor}/{protocol}.{layer}"
    for protocol in ("linear_lbfgs", "knn")
    for layer in "hz"
    for factor in ("shape", "rotation", "hue")
  )
  study.x = "kept"
  return study
