"""The triplet loss on CIFAR-10: ResNet-18 for one accelerator, or a small net for a CPU.

python train.py --config=configs/cifar10/triplet.py --workdir=runs/triplet_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/cifar10/triplet.py:cpu ...

Plain SGD as the other methods here, with FaceNet's margin and semi-hard mining.
"""

from contrastive_jax.configs import common


def get_config(size="gpu"):
  config = common.cifar10("triplet", "simclr_cifar", size)
  if size == "gpu":
    config.method.head_width = 1024
  return config
