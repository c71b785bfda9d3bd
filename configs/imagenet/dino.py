"""DINO with multi-crop on ImageNet (Caron et al., ICCV 2021; released code).

contrastive_jax train --config=imagenet/dino --workdir=runs/dino \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=imagenet/dino:resnet50 ...

ViT-S/16, with DeiT's and DINO's six heads of attention: 800 epochs of batches of 1024, AdamW at
5e-4 B/256 down to 1e-6, ten epochs of warm-up, weight decay from 0.04 to 0.4 along a cosine,
clipping of each array at 3. What differs from the code: positions are fixed (there learnt), layers
start Xavier-uniform (there normal, std 0.02) and no block is dropped at random (there one in ten at
the end). ResNet-50 (the code's instructions): SGD at 0.03 B/256 with weight decay 1e-4, SwAV's
areas and a teacher at 0.04 throughout. Epochs and batch size are recalled for both.
"""

from contrastive_jax import config as config_lib
from contrastive_jax.configs import common

LAST_LR = 1e-6


def get_config(model="deit_small"):
  config = common.imagenet("dino", "dino", epochs=800, batch_size=1024)
  config.augment.local_size_px = 96
  config.optimizer.clip_norm = 3.0
  config.optimizer.clip_each = True
  if model == "resnet50":
    config.model.padding = "torch"
    config.model.weight_init = "torch"
    config.model.zero_gamma = False
    config.method.teacher_temperature = 0.04
    config.augment.min_area = 0.14
    config.augment.local_max_area = 0.14
    config.optimizer.name = "sgd"
    config.optimizer.base_lr = 0.03
    config.optimizer.final_fraction = LAST_LR / (0.03 * 1024 / 256)
    config.optimizer.weight_decay = 1e-4
    return config
  config.model = config_lib.backbone(model, dtype="bfloat16")
  config.optimizer.name = "adamw"
  config.optimizer.base_lr = 5e-4
  config.optimizer.final_fraction = LAST_LR / (5e-4 * 1024 / 256)
  config.optimizer.weight_decay = 0.04
  config.optimizer.final_weight_decay = 0.4
  return config
