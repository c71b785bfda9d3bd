"""Contrast between patches of one image on ImageNet with ResNet-50.

contrastive_jax train --config=imagenet/patches --workdir=runs/patches \\
  --config.data.tfds.path=DIR    # prepared: see docs/data.md
contrastive_jax train --config=imagenet/patches:feature_map ...    # points in the last map

No paper has exactly this: optimiser and epochs are MoCo v2's, grey views for two images of three
are those of patch pretext tasks (Kolesnikov et al., CVPR 2019), and the form feature_map has
PatchNCE's head, temperature and stopped keys (Park et al., ECCV 2020). Statistics of batch norm are
over the whole batch and not MoCo's eight groups: with no second network whose groups could be
shuffled, a small group would tell which patches belong together. Negatives from other images:
  --config.method.cross_image=True
"""

from contrastive_jax.configs import common


def get_config(form="patches"):
  config = common.imagenet("patches", "moco_v2", epochs=200, batch_size=256)
  config.method.form = form
  if form == "feature_map":
    config.method.grid = 7
    config.method.head_width = 256
    config.method.embedding_size = 256
    config.method.temperature = 0.07
    config.method.stop_keys = True
  config.model.padding = "torch"
  config.model.weight_init = "torch"
  config.model.zero_gamma = False
  config.augment.grey_p = 0.66
  config.optimizer.name = "sgd"
  config.optimizer.base_lr = 0.03
  config.optimizer.warmup_epochs = 0.0
  config.optimizer.per_epoch = True
  config.optimizer.weight_decay = 1e-4
  config.optimizer.decay_exclude = "none"
  return config
