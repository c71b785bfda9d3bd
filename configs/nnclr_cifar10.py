"""NNCLR on CIFAR-10: ResNet-18 for one accelerator, or a network small enough for a laptop's CPU.

python train.py --config=configs/nnclr_cifar10.py --workdir=runs/nnclr \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/nnclr_cifar10.py:cpu ...
python eval.py --config=configs/eval/all.py --workdir=runs/nnclr

Asymmetric views, temperature 0.2, 65,536 embeddings in the queue (as solo-learn has them for
CIFAR); plain SGD as the other CIFAR-10 configs.
"""

from configs import common


def get_config(size="gpu"):
  config = common.cifar10("nnclr", "solo_cifar_asym", size)
  config.method.temperature = 0.2
  config.method.queue_size = 65_536
  if size == "cpu":
    config.method.queue_size = 2048
    config.method.head_width = 256
    config.method.embedding_size = 64
    config.method.predictor_width = 256
  return config
