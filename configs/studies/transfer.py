"""Transfer: other images, few labels, fine-tuning (SimCLR, sections 6 and B.8).

contrastive_jax study --config=studies/transfer:cpu --workdir=runs/transfer     # CIFAR-10 -> 100
contrastive_jax study --config=studies/transfer --workdir=runs/transfer_gpu     # ResNet-18
contrastive_jax study --config=studies/transfer:paper --workdir=runs/transfer_paper   # ImageNet

Trained on one set without labels, or with them: linear probes and fine-tuning there, on 1 % and
10 % of its labels (of each class its share), and on CIFAR-100.
"""

from contrastive_jax.configs import common


def get_config(size="gpu"):
  study = common.study("transfer", "Transfer and few labels", size)
  study.axes = {"method": common.with_and_without_labels(size)}
  study.evaluations = (
    "eval/linear_sgd",
    "eval/transfer:linear+own+0.01",
    "eval/transfer:linear+own+0.1",
    "eval/transfer:finetune+own+0.01",
    "eval/transfer:finetune+own+0.1",
    "eval/transfer:linear+cifar100",
    "eval/transfer:finetune+cifar100",
  )
  study.measure = "linear_sgd/linear_sgd.h"
  study.also = (
    "transfer_linear_own_0.01/linear_lbfgs.h",
    "transfer_linear_own_0.1/linear_lbfgs.h",
    "transfer_finetune_own_0.01/finetune.h",
    "transfer_finetune_own_0.1/finetune.h",
    "transfer_linear_cifar100/linear_lbfgs.h",
    "transfer_finetune_cifar100/finetune.h",
  )
  study.choose_by = ""
  study.x = "method"
  return study
