"""MoCo v3 on ImageNet with ViT-S/16 (Chen, Xie and He, ICCV 2021, section 4 and released code).

contrastive_jax train --config=imagenet/moco_v3_vit --workdir=runs/moco_v3_vit \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=imagenet/moco_v3_vit:vit_base ...

300 epochs at batch 4096, AdamW at 1.5e-4 B/256 with weight decay 0.1 on all that is trained, 40
epochs of warm-up and a cosine, temperature 0.2, crops from 0.08 of the area. The patch projection
stays at its random start, for stability (section 4.2), and so is not decayed either.
"""

from contrastive_jax import config as config_lib
from contrastive_jax.configs import common


def get_config(model="vit_small"):
  config = common.imagenet("moco_v3", "moco_v3", epochs=300, batch_size=4096)
  config.model = config_lib.backbone(model, dtype="bfloat16", frozen_patch_projection=True)
  config.method.temperature = 0.2
  config.method.head_layers = 3
  config.method.predictor_bn = True
  config.augment.min_area = 0.08
  config.optimizer.name = "adamw"
  config.optimizer.base_lr = 1.5e-4
  config.optimizer.weight_decay = 0.1
  config.optimizer.decay_exclude = "^backbone/patch/"
  config.optimizer.warmup_epochs = 40.0
  return config
