"""SwAV on CIFAR-10, with two crops of 32 px and a few of 16 px.

python train.py --config=configs/swav_cifar10.py --workdir=runs/swav_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/swav_cifar10.py:cpu ...
python eval.py --config=configs/eval/all.py --workdir=runs/swav_cifar10

The paper has no CIFAR-10; its figures are in swav_imagenet.py. Prototypes are not more than images
in a batch, so that no queue is needed, and stand still for the first epoch, as on ImageNet.

On the CPU harder codes (epsilon 0.01), free prototypes, larger small crops and a larger rate: with
the paper's 0.05 a small untrained network's codes are all but uniform, and so is what it learns.
"""

from configs import common


def get_config(size="gpu"):
  config = common.cifar10("swav", "swav", size)
  config.augment.blur = 0.0
  config.augment.normalize = "cifar"
  config.augment.local_size_px = 16
  config.augment.local_min_area = 0.08 if size == "gpu" else 0.2
  config.augment.local_max_area = 0.3 if size == "gpu" else 0.6
  config.method.local_views = 4 if size == "gpu" else 2
  config.method.prototypes = 512 if size == "gpu" else 128
  config.method.freeze_steps = 97 if size == "gpu" else 0
  if size == "cpu":
    config.method.epsilon = 0.01
    config.method.head_width = 128
    config.method.embedding_size = 64
    config.optimizer.base_lr = 1.0
  return config
