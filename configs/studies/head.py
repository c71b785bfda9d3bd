"""Projection head and size of its output, on h and on z (SimCLR, Figure 8).

contrastive_jax study --config=studies/head:cpu --workdir=runs/head     # CIFAR-10, ResNet-8
contrastive_jax study --config=studies/head --workdir=runs/head_gpu     # ResNet-18
contrastive_jax study --config=studies/head:paper --workdir=runs/head_paper   # ImageNet

The paper: a non-linear head beats a linear one, which beats none; the size of the output matters
little; h is far better than z. Without a head the output is h, whatever the size.
"""

from contrastive_jax.configs import common
from contrastive_jax.study import config as study_config

SIZES = {"cpu": (32, 128, 512), "gpu": (32, 64, 128, 256, 512, 1024, 2048)}


def get_config(size="gpu"):
  study = common.study("head", "Projection head and size of its output", size)
  study.axes = {
    "head": study_config.each("method.head", ("none", "linear", "mlp")),
    "output": study_config.each("method.embedding_size", SIZES.get(size, SIZES["gpu"])),
  }
  study.evaluations = ("eval/h_and_z",)
  study.measure, study.also = "linear_sgd.h", ("linear_sgd.z", "knn.h", "knn.z")
  study.x, study.line = "output", "head"
  return study
