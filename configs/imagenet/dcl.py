"""DCL on ImageNet with ResNet-50 and small batches (Yeh et al., 2022).

contrastive_jax train --config=imagenet/dcl --workdir=runs/dcl \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=imagenet/dcl --config.method.weighted=True ...    # DCLW

The paper's main comparison: batches of 256, 200 epochs, temperature 0.1, against SimCLR in the same
frame. The optimiser is SimCLR's for small batches (its appendix B.1): LARS at 0.075 sqrt(B).
"""

from contrastive_jax.configs import common


def get_config(epochs="200"):
  config = common.imagenet("dcl", "simclr", epochs=int(epochs), batch_size=256)
  config.model.padding = "simclr"
  config.optimizer.lr_scaling = "sqrt"
  config.optimizer.base_lr = 0.075
  return config
