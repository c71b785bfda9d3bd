"""NNCLR on ImageNet with ResNet-50 (Dwibedi et al., ICCV 2021).

contrastive_jax train --config=imagenet/nnclr --workdir=runs/nnclr \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=imagenet/nnclr:1000 ...    # epochs: 100, 200, 400, 800, 1000

Batch 4096, LARS at 0.3 B/256, weight decay 1e-6, a cosine. Recalled, not read again: 98,304
embeddings in the queue, temperature 0.1, ten epochs of warm-up; that the views are BYOL's and that
LARS and the start of the weights are BYOL's.
"""

from contrastive_jax.configs import common


def get_config(epochs="100"):
  config = common.imagenet("nnclr", "byol", epochs=int(epochs), batch_size=4096)
  config.model.weight_init = "haiku"
  config.optimizer.name = "lars_outside"
  config.optimizer.base_lr = 0.3
  config.optimizer.weight_decay = 1e-6
  return config
