"""NNCLR on CIFAR-10: ResNet-18 for one accelerator, or a network small enough for a laptop's CPU.

python train.py --config=configs/cifar10/nnclr.py --workdir=runs/nnclr \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/cifar10/nnclr.py:200 ...    # epochs; 1000 are published
python train.py --config=configs/cifar10/nnclr.py:cpu ...
python eval.py --config=configs/eval/all.py --workdir=runs/nnclr

solo-learn's recipe (published: 91.9 %, online probe): asymmetric views without blur, temperature
0.2, 65,536 embeddings in the queue, LARC at 0.4 with weight decay 1e-5.
"""

from contrastive_jax.configs import common


def get_config(size="1000"):
  if size == "cpu":
    config = common.cifar10("nnclr", "solo_cifar_asym", size)
    config.method.temperature = 0.2
    config.method.queue_size = 2048
    config.method.head_width = 256
    config.method.embedding_size = 64
    config.method.predictor_width = 256
    return config
  config = common.cifar10_solo("nnclr", "solo_cifar_asym", size)
  config.method.temperature = 0.2
  config.method.queue_size = 65_536
  config.optimizer.base_lr = 0.4
  config.optimizer.weight_decay = 1e-5
  return config
