"""DINO on CIFAR-10, with two crops of 32 px and a few of 16 px.

python train.py --config=configs/dino_cifar10.py --workdir=runs/dino_cifar10 \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/dino_cifar10.py:cpu ...
python eval.py --config=configs/eval/all.py --workdir=runs/dino_cifar10

The paper has no CIFAR-10; its figures are in dino_imagenet.py. 4096 outputs as in solo-learn, batch
norm in the head, and a teacher that follows faster, since short runs take few steps.
"""

from configs import common


def get_config(size="gpu"):
  config = common.cifar10("dino", "dino", size)
  config.augment.blur = 0.0
  config.augment.normalize = "cifar"
  config.augment.local_size_px = 16
  config.augment.local_min_area = 0.08
  config.augment.local_max_area = 0.3
  config.method.local_views = 4 if size == "gpu" else 2
  config.method.outputs = 4096 if size == "gpu" else 512
  config.method.momentum = 0.99
  config.method.head_bn = True
  config.method.teacher_warmup_epochs = 10.0 if size == "gpu" else 5.0
  if size == "cpu":
    config.method.head_width = 128
    config.method.embedding_size = 64
  return config
