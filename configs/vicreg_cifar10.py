"""VICReg on CIFAR-10: ResNet-18 for one accelerator, or a small network for a laptop's CPU.

python train.py --config=configs/vicreg_cifar10.py --workdir=runs/vicreg_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/vicreg_cifar10.py:cpu ...

LARS as on ImageNet, since the loss's weights of 25 suit no plain gradient step. The rate is that of
SimCLR for LARS on CIFAR-10 and not tuned.
"""

from configs import common


def get_config(size="gpu"):
  config = common.cifar10("vicreg", "simclr_cifar", size)
  width = {"gpu": 2048, "cpu": 256}[size]
  config.method.head_layers = 3 if size == "gpu" else 2
  config.method.head_width = width
  config.method.embedding_size = width
  config.optimizer.name = "lars_outside"
  config.optimizer.base_lr = 1.0
  config.optimizer.decay_exclude = "same"
  return config
