"""Temperature of SimCLR on the built-in images, at the rate that suits each on images held out.

contrastive_jax study --config=studies/quickstart --workdir=runs/temperature
contrastive_jax study --config=studies/quickstart:tiny --workdir=runs/tiny

The runs are those of shapes/quickstart, which take minutes. tiny: a few images and one pass, to see
in a few minutes how a study goes.
"""

from contrastive_jax.configs import common
from contrastive_jax.study import config as study_config


def get_config(size="quickstart"):
  if size not in ("quickstart", "tiny"):
    raise ValueError(f'size "{size}" is unknown; use quickstart or tiny')
  study = study_config.study("quickstart", base="shapes/quickstart")
  study.title = "Temperature of SimCLR on the built-in images"
  temperatures = (0.1, 0.2, 0.5, 1.0) if size == "quickstart" else (0.1, 0.5)
  study.axes = {
    "temperature": study_config.each("method.temperature", temperatures),
    "rate": study_config.each("optimizer.base_lr", (0.1, 0.3, 1.0)[: len(temperatures)]),
  }
  study.seeds, study.choose, study.x = (0, 1), ("rate",), "temperature"
  study.evaluations, study.measure = ("eval/knn",), "knn.h"
  study.also = ("metric.contrastive_accuracy",)
  if size == "tiny":
    study.changes = common.TINY_SHAPES
  return study
