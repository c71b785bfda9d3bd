"""Unit length and temperature: accuracy, and what the loss reports of itself (SimCLR, Table 5).

contrastive_jax study --config=studies/temperature:cpu --workdir=runs/temperature   # CIFAR-10
contrastive_jax study --config=studies/temperature --workdir=runs/temperature_gpu   # ResNet-18
contrastive_jax study --config=studies/temperature:paper --workdir=runs/temperature_paper

The paper: with unit vectors a temperature of 0.1 is best; without them the loss finds its positives
more often and the representation is worse, so contrastive accuracy is no guide. The loss is InfoNCE
between two views, whose similarity may be either; the paper's is NT-Xent.
"""

from contrastive_jax.configs import common

PUBLISHED = {
  "unit_0.05": 59.7,
  "unit_0.1": 64.4,
  "unit_0.5": 60.7,
  "unit_1": 58.0,
  "dot_10": 57.2,
  "dot_100": 57.0,
}


def get_config(size="gpu"):
  study = common.study("temperature", "Unit length and temperature", size, "infonce")
  study.axes = {
    "similarity": {
      label: {
        "method.similarity": "dot" if label.startswith("dot") else "cosine",
        "method.temperature": float(label.split("_")[1]),
      }
      for label in PUBLISHED
    }
  }
  study.also = ("knn.h", "metric.contrastive_accuracy", "metric.contrastive_entropy")
  study.x = "similarity"
  study.published = [
    {"similarity": label, "value": value, "source": "SimCLR, Table 5"}
    for label, value in PUBLISHED.items()
  ]
  return study
