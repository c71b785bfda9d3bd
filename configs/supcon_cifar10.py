"""SupCon on CIFAR-10: ResNet-18 for one accelerator, or a network small enough for a laptop's CPU.

python train.py --config=configs/supcon_cifar10.py --workdir=runs/supcon_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/supcon_cifar10.py:cpu ...

The views are the released code's. Its published run:
  --config.model.name=resnet50 --config.epochs=1000 --config.batch_size=1024
  --config.optimizer.lr_scaling=none --config.optimizer.base_lr=0.5
  --config.optimizer.warmup_epochs=10 --config.optimizer.weight_decay=1e-4
"""

from configs import common


def get_config(size="gpu"):
  return common.cifar10("supcon", "supcon_cifar", size)
