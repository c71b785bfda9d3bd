"""SimCLR on CIFAR-10: ResNet-18 for one accelerator, or a network small enough for a laptop's CPU.

python train.py --config=configs/simclr_cifar10.py --workdir=runs/cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/simclr_cifar10.py:cpu ...
python eval.py --config=configs/eval/all.py --workdir=runs/cifar10

Plain SGD, head of two layers, no blur (SimCLR, appendix B.9). A rate of 0.06 B/256 suits runs of
ResNet-18 of about 100 epochs, 0.03 those of 800 and more.
"""

from configs import common


def get_config(size="gpu"):
  config = common.cifar10("simclr", "simclr_cifar", size)
  config.method.temperature = 0.2
  if size == "gpu":
    config.method.temperature = 0.5
    config.method.head_width = 1024
    config.augment.grey_p = 0.1
  return config
