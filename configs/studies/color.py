"""Strength of the colour jitter, with a contrastive loss and with labels (SimCLR, Table 1).

contrastive_jax study --config=studies/color:cpu --workdir=runs/color     # CIFAR-10, ResNet-8
contrastive_jax study --config=studies/color --workdir=runs/color_gpu     # ResNet-18
contrastive_jax study --config=studies/color:paper --workdir=runs/color_paper   # ImageNet

The paper: stronger colour helps the contrastive loss, and does not help supervised learning.
"""

from contrastive_jax.configs import common
from contrastive_jax.study import config as study_config

PUBLISHED = {"0.125": 59.6, "0.25": 61.0, "0.5": 62.6, "1": 63.2}


def get_config(size="gpu"):
  study = common.study("color", "Strength of colour jitter", size)
  study.changes = {**study.changes, "augment.recipe": "simclr", "augment.blur": 0.0}
  study.axes = {
    "method": common.with_and_without_labels(size),
    "strength": study_config.each("augment.color_strength", (0.125, 0.25, 0.5, 1.0)),
  }
  study.x, study.line = "strength", "method"
  study.published = [
    {"method": "simclr", "strength": strength, "value": value, "source": "SimCLR, Table 1"}
    for strength, value in PUBLISHED.items()
  ]
  return study
