"""NNCLR on CIFAR-10: ResNet-18 for one accelerator, or a network small enough for a laptop's CPU.

contrastive_jax train --config=cifar10/nnclr --workdir=runs/nnclr \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/nnclr:200 ...    # epochs; 1000 are published
contrastive_jax train --config=cifar10/nnclr:cpu ...
contrastive_jax eval --config=eval/all --workdir=runs/nnclr

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
