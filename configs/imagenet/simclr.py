"""SimCLR on ImageNet with ResNet-50: the paper's main recipe (Chen et al., 2020, sections 2 and 5).

contrastive_jax train --config=imagenet/simclr --workdir=runs/imagenet \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=imagenet/simclr:1000 ...    # epochs; the studies have 100

LARS with 0.3 B/256 (4.8 at 4096) and weight decay 1e-6, ten epochs of warm-up, cosine decay, global
batch norm, temperature 0.1, full-strength colour distortion and blur. The loss is twice eq. 1, as
in the released code, from which the published figures come: LARS takes such a factor out of the
steps of kernels, but not out of those of biases and batch norm. Eq. 1 as it is written:
--config.method.loss_factor=paper. For batches below 4096 and short runs the square-root rule is
better (appendix B.1):
  --config.optimizer.lr_scaling=sqrt --config.optimizer.base_lr=0.075
"""

from contrastive_jax.configs import common


def get_config(epochs="100"):
  config = common.imagenet("simclr", "simclr", epochs=int(epochs), batch_size=4096)
  config.method.loss_factor = "code"
  config.model.padding = "simclr"  # as the published weights: convolutions symmetric, pool SAME
  return config
