"""LeJEPA on ImageNet (Balestriero and LeCun, 2025; the released code's recommended figures).

contrastive_jax train --config=imagenet/lejepa --workdir=runs/lejepa \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=imagenet/lejepa:deit_small ...

Two large views of 224 px (areas from 0.3) and six small ones (0.05 to 0.3) with the same colours,
AdamW at 5e-4 down to a thousandth of it, weight decay 5e-4 for ResNets and 5e-2 for transformers,
1024 directions, 100 epochs. As in their minimal example one epoch of warm-up, and everything is
decayed. Recalled: lambda 0.05 and batches of 512. Their small views have 98 px, which suits patches
of 14 px; here 96. Theirs may be solarised as well.
"""

from contrastive_jax import config as config_lib
from contrastive_jax.configs import common


def get_config(model="resnet50"):
  config = common.imagenet("lejepa", "dino", epochs=100, batch_size=512)
  config.augment.min_area = 0.3
  config.augment.blur = 0.5
  config.augment.solarize = 0.2
  config.augment.local_size_px = 96
  config.augment.local_min_area = 0.05
  config.augment.local_max_area = 0.3
  config.optimizer.name = "adamw"
  config.optimizer.base_lr = 5e-4
  config.optimizer.lr_scaling = "none"
  config.optimizer.decay_exclude = "none"
  config.optimizer.warmup_epochs = 1.0
  config.optimizer.final_fraction = 0.001
  if model == "resnet50":
    config.model.padding = "torch"
    config.model.weight_init = "torch"
    config.model.zero_gamma = False
    config.optimizer.weight_decay = 5e-4
    return config
  config.model = config_lib.backbone(model, dtype="bfloat16")
  config.optimizer.weight_decay = 5e-2
  return config
