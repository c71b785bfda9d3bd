"""Batch size x epochs for SimCLR, with linear and square-root scaling of the rate.

contrastive_jax study --config=studies/batch_size:tiny --workdir=runs/tiny      # built-in images
contrastive_jax study --config=studies/batch_size:cpu --workdir=runs/batch_cpu  # CIFAR-10, ResNet-8
contrastive_jax study --config=studies/batch_size --workdir=runs/batch_size     # ResNet-18, a GPU
contrastive_jax study --config=studies/batch_size:paper --workdir=runs/batch_paper   # ImageNet

The question of SimCLR's Figure 9 and Appendix B.1: how much longer training or larger batches are
worth, and by which rule the rate is to grow with the batch. Each combination takes its best rate,
on training images held out.
"""

from contrastive_jax.study import config as study_config

BASES = {
  "tiny": "shapes/quickstart",
  "cpu": "cifar10/simclr:cpu",
  "gpu": "cifar10/simclr",
  "paper": "imagenet/simclr",
}


def get_config(size="gpu"):
  if size not in BASES:
    raise ValueError(f'size "{size}" is unknown; use one of {", ".join(BASES)}')
  study = study_config.study("batch_size", base=BASES[size])
  study.title = "Batch size and epochs"
  study.axes, study.changes = {
    "tiny": _tiny,
    "cpu": _cpu,
    "gpu": _gpu,
    "paper": _paper,
  }[size]()
  study.seeds = (0, 1) if size == "tiny" else (0, 1, 2)
  study.choose = ("rate",)
  study.evaluations = ("eval/knn",) if size == "tiny" else ("eval/knn", "eval/linear_sgd")
  study.measure = "knn.h" if size == "tiny" else "linear_sgd.h"
  study.also = () if size == "tiny" else ("knn.h",)
  study.choose_by = "knn.h"
  study.x, study.line, study.column = "batch", "epochs", "rule"
  return study


def _axes(batches, epochs, rates):
  return {
    "batch": study_config.each("batch_size", batches),
    "epochs": study_config.each("epochs", epochs),
    "rule": {
      "linear": {"optimizer.lr_scaling": "linear"},
      "root": {"optimizer.lr_scaling": "sqrt"},
    },
    "rate": study_config.each("optimizer.base_lr", rates),
  }


def _tiny():
  changes = {
    "data.shapes.num_train": 160,
    "data.shapes.num_test": 64,
    "data.shapes.size_px": 16,
    "data.held_out": 32,
    "image_size_px": 16,
    "model.width": 0.25,
    "optimizer.warmup_epochs": 0.0,
    "monitor.max_train": 0,
    "log.views": False,
    "log.tensorboard": False,
  }
  return _axes((16, 32), (1,), (0.1, 0.3)), changes


def _cpu():
  changes = {"data.held_out": 2000, "monitor.max_train": 0}
  return _axes((64, 128, 256, 512), (5, 10, 20), (0.1, 0.3, 1.0)), changes


def _gpu():
  changes = {"data.held_out": 5000}
  return _axes((128, 256, 512, 1024, 2048, 4096), (25, 50, 100), (0.03, 0.06, 0.12)), changes


def _paper():
  changes = {"data.held_out": 50_000}
  return _axes((256, 512, 1024, 2048, 4096, 8192), (100, 200, 400), (0.1, 0.3, 0.6)), changes
