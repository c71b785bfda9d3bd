"""Which augmentations it takes: all ordered pairs of seven, on one view alone (SimCLR, Figure 5).

contrastive_jax study --config=studies/composition:cpu --workdir=runs/composition   # CIFAR-10
contrastive_jax study --config=studies/composition --workdir=runs/composition_gpu   # ResNet-18
contrastive_jax study --config=studies/composition:paper --workdir=runs/composition_paper

Row: the first operation, column: the second; on the diagonal the operation alone. The paper: no
operation alone is enough, and crop with colour is the best pair by far, since crops of one image
share its colours (docs/draw/color_histograms.py draws them).
"""

from contrastive_jax import declared
from contrastive_jax.configs import common

OPERATIONS = declared.constant("augment.compose", "OPERATIONS")


def get_config(size="gpu"):
  study = common.study("composition", "Augmentations in pairs", size)
  if size == "cpu":
    study.changes = {**study.changes, "epochs": 3}
  operations = {name: {"+augment.compose": (name,)} for name in OPERATIONS}
  study.axes = {"first": operations, "then": operations}
  study.x, study.line, study.show = "then", "first", "grid"
  return study
