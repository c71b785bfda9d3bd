"""Width and depth, with a contrastive loss and with labels (SimCLR, Figure 7).

contrastive_jax study --config=studies/width_depth:cpu --workdir=runs/width_depth   # CIFAR-10
contrastive_jax study --config=studies/width_depth --workdir=runs/width_depth_gpu
contrastive_jax study --config=studies/width_depth:paper --workdir=runs/width_depth_paper

The paper: larger networks help both, and learning without labels more.
"""

from contrastive_jax.configs import common
from contrastive_jax.study import config as study_config

DEPTHS = {
  "cpu": ("resnet8", "resnet14", "resnet20"),
  "gpu": ("resnet18", "resnet34"),
  "paper": ("resnet18", "resnet34", "resnet50", "resnet101"),
}
WIDTHS = {"cpu": (0.5, 1.0, 2.0), "gpu": (0.5, 1.0, 2.0), "paper": (1.0, 2.0, 4.0)}


def get_config(size="gpu"):
  study = common.study("width_depth", "Width and depth", size)
  study.axes = {
    "method": common.with_and_without_labels(size),
    "depth": study_config.each("model.name", DEPTHS[size]),
    "width": study_config.each("model.width", WIDTHS[size]),
  }
  study.x, study.line, study.column = "width", "depth", "method"
  return study
