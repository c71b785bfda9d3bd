"""NT-Logistic on ImageNet with ResNet-50, in the frame of SimCLR.

contrastive_jax train --config=imagenet/nt_logistic --workdir=runs/nt_logistic \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md

SimCLR's frame of 100 epochs with batches of 4096 (Chen et al., 2020, Table 4): LARS, weight decay
1e-6, ten epochs of warm-up, cosine decay. The paper searched the rate (0.01 to 1, times B/256) and
the temperature; which it chose is not in this file. Semi-hard mining is its better variant:
  --config.method.semi_hard=True
"""

from contrastive_jax.configs import common


def get_config(epochs="100"):
  config = common.imagenet("nt_logistic", "simclr", epochs=int(epochs), batch_size=4096)
  config.model.padding = "simclr"
  return config
