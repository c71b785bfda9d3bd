"""MoCo v2 on CIFAR-10: ResNet-18 for one accelerator, or a network small enough for a laptop's CPU.

python train.py --config=configs/moco_cifar10.py --workdir=runs/moco \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/moco_cifar10.py:cpu ...
python eval.py --config=configs/eval/all.py --workdir=runs/moco

MoCo v2's views without blur; fewer keys and a quicker key network than ImageNet's, since a run is a
few thousand steps. Figures in that spirit (4096 keys, momentum 0.99, temperature 0.1, 8 groups of
batch norm) are recalled from the authors' CIFAR-10 demo.
"""

from configs import common


def get_config(size="gpu"):
  config = common.cifar10("moco", "moco_v2", size)
  config.augment.blur = 0.0
  config.augment.normalize = "cifar"
  config.method.temperature = 0.1
  config.method.queue_size = 4096
  config.method.momentum = 0.99
  config.model.bn_groups = 8
  if size == "cpu":
    config.method.temperature = 0.2
    config.method.embedding_size = 64
    config.method.queue_size = 2048
    config.model.bn_groups = 4
  return config
