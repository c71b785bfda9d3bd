"""MoCo v3 on CIFAR-10: ResNet-18 for one accelerator, or a network small enough for a laptop's CPU.

python train.py --config=configs/moco_v3_cifar10.py --workdir=runs/moco_v3 \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/moco_v3_cifar10.py:cpu ...
python eval.py --config=configs/eval/all.py --workdir=runs/moco_v3

MoCo v3's views without blur and temperature 0.2 (as solo-learn has them for CIFAR); plain SGD as
the other CIFAR-10 configs, a key network that starts with momentum 0.99.
"""

from configs import common


def get_config(size="gpu"):
  config = common.cifar10("moco_v3", "solo_cifar_asym", size)
  config.method.temperature = 0.2
  if size == "cpu":
    config.method.head_width = 256
    config.method.embedding_size = 64
    config.method.predictor_width = 256
    config.method.momentum = 0.97
  return config
