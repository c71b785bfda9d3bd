"""What h keeps and z drops: which transformation was applied, told from each (SimCLR, Table 3).

contrastive_jax study --config=studies/transformations:cpu --workdir=runs/transformations
contrastive_jax study --config=studies/transformations --workdir=runs/transformations_gpu
contrastive_jax study --config=studies/transformations:paper --workdir=runs/transformations_paper

The paper: from h a perceptron tells colour from grey in 99.3 %, the rotation in 67.6 %, noise in
99.5 % and Sobel edges in 96.6 % of images; from z, of equal length, in 97.4, 25.6, 59.6 and 56.3 %
(guessing: 80, 25, 50 and 50 %), each transformation being part of pre-training. Grey is so in every
recipe of SimCLR; here the others are added in a run each: rotation to every view, by a random
quarter turn, noise and Sobel to half of them.
"""

from contrastive_jax.configs import common

TASKS = ("color", "rotation", "noise", "sobel")
WIDTHS = {"cpu": 64, "gpu": 512, "paper": 2048}  # of h: ResNet-8, 18, 50


def get_config(size="gpu"):
  study = common.study("transformations", "What h keeps and z drops", size)
  width = WIDTHS[size]
  head = {"method.head_width": width, "method.embedding_size": width}
  study.changes = {**study.changes, **head}
  study.axes = {
    "added": {
      "none": {},
      "rotation": {"augment.rotate": 1.0},
      "noise": {"augment.noise": 0.5},
      "sobel": {"augment.sobel": 0.5},
    }
  }
  study.evaluations = ("eval/transformation",)
  figures = [f"transformation.{layer}:{task}" for task in TASKS for layer in "hz"]
  study.measure = "transformation.h:rotation"
  study.also = tuple(figure for figure in figures if figure != study.measure)
  study.choose_by = ""
  study.x = "added"
  study.published = [{"added": "rotation", "value": 67.6, "source": "SimCLR, Table 3"}]
  return study
