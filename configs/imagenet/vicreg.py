"""VICReg on ImageNet with ResNet-50 (Bardes et al., 2022, section 4.2).

contrastive_jax train --config=imagenet/vicreg --workdir=runs/vicreg \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=imagenet/vicreg:100 ...    # epochs; the paper has 1000

LARS at 0.2 B/256 with batches of 2048, ten epochs of warm-up, cosine to a thousandth. The authors'
example of 100 epochs has another rate and batch:
  --config.batch_size=512 --config.optimizer.base_lr=0.3
"""

from contrastive_jax.configs import common


def get_config(epochs="1000"):
  config = common.imagenet("vicreg", "vicreg", epochs=int(epochs), batch_size=2048)
  config.model.padding = "torch"
  config.model.weight_init = "torch"
  config.optimizer.name = "lars_outside"
  config.optimizer.base_lr = 0.2
  config.optimizer.final_fraction = 0.001
  return config
