"""SwAV with multi-crop on ImageNet with ResNet-50 (Caron et al., NeurIPS 2020; released scripts).

contrastive_jax train --config=imagenet/swav --workdir=runs/swav \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=imagenet/swav:256 ...    # small batches, with a queue

Batch 4096: LARC of all parameters, batch norm and biases too, at 0.3 B/256 (4.8) down to a
thousandth, ten epochs of warm-up from 0.3, 800 epochs. Its 64 GPUs share batch statistics by
eights, so there are eight groups of 512 images. Batch 256: rate 0.6, no warm-up, 3840 earlier
embeddings from epoch 15, prototypes frozen for 5005 steps, 400 epochs, statistics over the batch.
"""

from contrastive_jax.configs import common


def get_config(batch_size="4096"):
  small = batch_size == "256"
  config = common.imagenet("swav", "swav", epochs=400 if small else 800, batch_size=int(batch_size))
  config.model.padding = "torch"
  config.model.weight_init = "torch"
  config.model.zero_gamma = False
  config.augment.local_size_px = 96
  config.optimizer.name = "larc"
  config.optimizer.exclude = "none"
  config.optimizer.base_lr = 0.3
  config.optimizer.final_fraction = 0.001
  config.optimizer.weight_decay = 1e-6
  if small:
    config.method.queue_size = 3840
    config.method.freeze_steps = 5005
    config.optimizer.base_lr = 0.6
    config.optimizer.warmup_epochs = 0.0
    return config
  config.model.bn_groups = 8
  config.optimizer.start_fraction = 0.3 / 4.8
  return config
