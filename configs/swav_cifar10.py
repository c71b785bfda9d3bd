"""SwAV on CIFAR-10, with two crops of 32 px and a few of 16 px.

python train.py --config=configs/swav_cifar10.py --workdir=runs/swav_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/swav_cifar10.py:cpu ...
python eval.py --config=configs/eval/all.py --workdir=runs/swav_cifar10

The paper has no CIFAR-10; its figures are in swav_imagenet.py. Prototypes are not more than images
in a batch, so that no queue is needed, and stand still for the first epoch, as on ImageNet.
"""

from configs import common


def get_config(size="gpu"):
  config = common.cifar10("swav", "swav", size)
  config.augment.blur = 0.0
  config.augment.normalize = "cifar"
  config.augment.local_size_px = 16
  config.augment.local_min_area = 0.08
  config.augment.local_max_area = 0.3
  config.method.local_views = 4 if size == "gpu" else 2
  config.method.prototypes = 512 if size == "gpu" else 128
  config.method.freeze_steps = 97 if size == "gpu" else 39
  if size == "cpu":
    config.method.head_width = 128
    config.method.embedding_size = 64
  return config
