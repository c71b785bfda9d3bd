"""MoCo v3 on CIFAR-10: ResNet-18 for one accelerator, or a network small enough for a laptop's CPU.

contrastive_jax train --config=cifar10/moco_v3 --workdir=runs/moco_v3 \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=cifar10/moco_v3:200 ...    # epochs; 1000 are published
contrastive_jax train --config=cifar10/moco_v3:vit_tiny ...
contrastive_jax train --config=cifar10/moco_v3:cpu ...
contrastive_jax train --config=cifar10/moco_v3:cpu_vit ...    # ViT-Ti, patches of 8 px
contrastive_jax eval --config=eval/all --workdir=runs/moco_v3

solo-learn's recipe (published: 93.1 %, online probe): asymmetric views without blur, temperature
0.2, LARC at 0.3 with weight decay 1e-6, a key network that starts with momentum 0.99. vit_tiny,
with patches of 4 px, has the paper's recipe for transformers (moco_v3_vit_imagenet.py) on these
views; no figure is known for it.
"""

from contrastive_jax import config as config_lib
from contrastive_jax.configs import common


def get_config(size="1000"):
  if size in ("cpu", "cpu_vit"):
    return _cpu(transformer=size == "cpu_vit")
  if size.startswith("vit_"):
    return _vit(size)
  config = common.cifar10_solo("moco_v3", "solo_cifar_asym", size)
  config.method.temperature = 0.2
  config.optimizer.base_lr = 0.3
  config.optimizer.weight_decay = 1e-6
  return config


def _cpu(transformer):
  config = common.cifar10("moco_v3", "solo_cifar_asym", "cpu")
  config.method.temperature = 0.2
  config.method.head_width = 256
  config.method.embedding_size = 64
  config.method.predictor_width = 256
  config.method.momentum = 0.97
  if transformer:
    config.model = config_lib.backbone("vit_tiny", patch_px=8, frozen_patch_projection=True)
    config.optimizer.name = "adamw"
    config.optimizer.lr_scaling = "none"
    config.optimizer.base_lr = 1e-3
    config.optimizer.weight_decay = 0.1
    config.optimizer.decay_exclude = "^backbone/patch/"
  return config


def _vit(model):
  config = common.cifar10_solo("moco_v3", "solo_cifar_asym", "300")
  config.batch_size = 1024
  config.model = config_lib.backbone(
    model, patch_px=4, dtype="bfloat16", frozen_patch_projection=True
  )
  config.method.temperature = 0.2
  config.method.head_layers = 3
  config.method.predictor_bn = True
  config.optimizer.name = "adamw"
  config.optimizer.base_lr = 1.5e-4
  config.optimizer.weight_decay = 0.1
  config.optimizer.decay_exclude = "^backbone/patch/"
  config.optimizer.warmup_epochs = 40.0
  return config
