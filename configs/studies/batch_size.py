"""Batch size x epochs for SimCLR, with linear and square-root scaling of the rate.

contrastive_jax study --config=studies/batch_size:cpu --workdir=runs/batch_cpu  # CIFAR-10, ResNet-8
contrastive_jax study --config=studies/batch_size --workdir=runs/batch_size     # ResNet-18, a GPU
contrastive_jax study --config=studies/batch_size:paper --workdir=runs/batch_paper   # ImageNet
contrastive_jax study --config=studies/batch_size:tiny --workdir=runs/batch_tiny

The question of SimCLR's Figure 9 and Appendix B.1: what larger batches and longer training are
worth, and by which rule the rate grows with the batch. Nothing is chosen: both rules have the same
rate at one batch, 256 images, on ImageNet 4,096 as in the paper (0.3 B/256 and 0.075 sqrt B).
tiny: built-in images and runs of seconds, to see how a study goes.
"""

from contrastive_jax.configs import common
from contrastive_jax.study import config as study_config


def get_config(size="gpu"):
  sizes = {"tiny": _tiny, "cpu": _cpu, "gpu": _gpu, "paper": _paper}
  if size not in sizes:
    raise ValueError(f'size "{size}" is unknown; use one of {", ".join(sizes)}')
  study = sizes[size]()
  study.title = "Batch size and epochs"
  study.x, study.line, study.column = "batch", "epochs", "rule"
  return study


PUBLISHED = {  # of ResNet-50 on ImageNet
  "256": 62.8,
  "512": 63.8,
  "1024": 64.3,
  "2048": 64.7,
  "4096": 64.5,
  "8192": 64.8,
}


def _study(base, batches, epochs, rate, meet_at=256):
  study = study_config.study("batch_size", base=base)
  root = rate * meet_at**0.5 / 256
  study.axes = {
    "batch": study_config.each("batch_size", batches),
    "epochs": study_config.each("epochs", epochs),
    "rule": {
      "linear": {"optimizer.lr_scaling": "linear", "optimizer.base_lr": rate},
      "root": {"optimizer.lr_scaling": "sqrt", "optimizer.base_lr": root},
    },
  }
  study.seeds = (0, 1, 2)
  study.evaluations = ("eval/knn", "eval/linear_sgd")
  study.measure, study.also = "linear_sgd.h", ("knn.h", "metric.noise_scale")
  study.changes = {"monitor.noise_parts": 4}
  study.published = [
    {"batch": batch, "epochs": "100", "rule": "root", "value": value, "source": "SimCLR, B.1"}
    for batch, value in PUBLISHED.items()
  ]
  return study


def _cpu():
  return _study("cifar10/simclr:cpu", (64, 128, 256, 512, 1024), (5, 10, 20), rate=0.3)


def _gpu():
  return _study("cifar10/simclr", (128, 256, 512, 1024, 2048, 4096), (25, 50, 100), rate=0.06)


def _paper():
  batches, epochs = (256, 512, 1024, 2048, 4096, 8192), (100, 200, 400)
  return _study("imagenet/simclr", batches, epochs, rate=0.3, meet_at=4096)


def _tiny():
  study = _study("shapes/quickstart", (32, 64), (1, 2), rate=0.3)
  study.changes = common.TINY_SHAPES
  study.seeds, study.published = (0, 1), []
  study.evaluations, study.measure, study.also = ("eval/knn",), "knn.h", ()
  return study
