"""SimCLR v2 on ImageNet (Chen et al., NeurIPS 2020): a deeper head and selective kernels.

contrastive_jax train --config=imagenet/simclr_v2 --workdir=runs/simclr_v2 \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=imagenet/simclr_v2 --config.model.name=resnet152 \\
  --config.model.width=3 --config.model.remat=True ...    # the largest; needs many accelerators

Head of three layers; fine-tuning starts from its first, the endpoint "z.1". Recalled, not read
again: 800 epochs with batches of 4096, LARS at 0.1 sqrt(B) (6.4), warm-up over the first 20th,
weight decay 1e-4. Without the memory of 64K negatives.
--config.model.sk_ratio=0 is the plain ResNet.
"""

from contrastive_jax.configs import common


def get_config(epochs="800"):
  config = common.imagenet("simclr", "simclr", epochs=int(epochs), batch_size=4096)
  config.model.padding = "simclr"
  config.model.sk_ratio = 0.0625
  config.method.head_layers = 3
  config.method.loss_factor = "code"  # as the released code, see simclr_imagenet.py
  config.optimizer.lr_scaling = "sqrt"
  config.optimizer.base_lr = 0.1
  config.optimizer.warmup_epochs = int(epochs) / 20
  config.optimizer.weight_decay = 1e-4
  return config
