"""Does one need large batches? Losses that say no, beside SimCLR, at an equal number of images.

contrastive_jax study --config=studies/negatives:cpu --workdir=runs/negatives     # CIFAR-10
contrastive_jax study --config=studies/negatives --workdir=runs/negatives_gpu     # ResNet-18
contrastive_jax study --config=studies/negatives:paper --workdir=runs/negatives_paper

DCL, SogCLR, SigLIP's loss, LeJEPA, MoCo and BYOL by batch size, each at its best rate and
temperature of those tried, chosen on training images held out: multiples of those of its own
config. SigLIP learns its temperature, LeJEPA and BYOL have none. One network, one recipe of views
and one number of epochs for all; the optimiser as in each config.
"""

from contrastive_jax.configs import common
from contrastive_jax.study import config as study_config

METHODS = ("simclr", "dcl", "sogclr", "siglip", "lejepa", "moco", "byol")
BATCHES = {"cpu": (32, 128, 512), "gpu": (64, 256, 1024, 4096), "paper": (256, 1024, 4096)}
TEMPERATURES = {"cpu": (1, 2), "gpu": (0.5, 1, 2), "paper": (1, 2)}  # of those, too
RATES = {"cpu": (1, 3), "gpu": (0.3, 1, 3), "paper": (0.3, 1)}  # of those of the methods' configs


ON_A_GPU = {  # the same frame for all methods, which their own configs for a GPU do not have
  "epochs": 100,
  "data.split": "train",
  "model.name": "resnet18",
  "model.stem": "cifar",
  "model.dtype": "bfloat16",
  "monitor.max_train": 50_000,
}


def get_config(size="gpu"):
  study = common.study("negatives", "Does one need large batches?", size)
  folder, argument = ("imagenet", "") if size == "paper" else ("cifar10", ":cpu")
  if size == "gpu":
    study.changes = ON_A_GPU
  if size != "paper":
    study.changes = {**study.changes, "augment.recipe": "simclr_cifar"}
  study.axes = {
    "method": {m: {"config": f"{folder}/{_name(m, size)}{argument}"} for m in METHODS},
    "batch": study_config.each("batch_size", BATCHES[size]),
    "temperature": study_config.each("?*method.temperature", TEMPERATURES[size]),
    "rate": study_config.each("*optimizer.base_lr", RATES[size]),
  }
  study.choose = ("temperature", "rate")
  study.choose_seeds = 1
  study.x, study.line = "batch", "method"
  return study


def _name(method, size):
  return "moco_v2" if (method, size) == ("moco", "paper") else method
