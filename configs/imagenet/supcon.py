"""SupCon on ImageNet with ResNet-50 (Khosla et al., 2020).

contrastive_jax train --config=imagenet/supcon --workdir=runs/supcon \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md

700 epochs with batches of 6144 and LARS are recalled from the paper, not read again. The paper uses
AutoAugment; the views here are SimCLR's, and so are the learning rate and the weight decay. The
network is that of the authors' PyTorch code, whose blocks do not start as their shortcut.
"""

from contrastive_jax.configs import common


def get_config(epochs="700"):
  config = common.imagenet("supcon", "simclr", epochs=int(epochs), batch_size=6144)
  config.model.padding = "torch"
  config.model.weight_init = "torch"
  config.model.zero_gamma = False
  return config
