"""LooC on ImageNet-100 with ResNet-50: the paper's recipe (Xiao et al., ICLR 2021, section 4).

contrastive_jax train --config=imagenet/looc --workdir=runs/looc \\
  --config.data.folder.path=DIR    # DIR/train and DIR/val, a sub-folder for each of the 100 classes
contrastive_jax train --config=imagenet/looc:rotation ...    # kept factors, here one of them
contrastive_jax eval --config=eval/linear_sgd:published --workdir=runs/looc \\
  --config.layers=h,z    # h: LooC, z: LooC++

ImageNet-100 is the class list of CMC (Tian et al., 2020). 500 epochs of batches of 256, SGD at
0.03, divided by 10 at 300 and 400; MoCo v2's augmentation and, where rotation is kept, turns by
right angles. The rate and the weight decay are recalled figures.
"""

from contrastive_jax.configs import common


def get_config(kept="rotation,color"):
  config = common.imagenet("looc", "moco_v2", epochs=500, batch_size=256)
  config.method.kept = tuple(kept.split(","))
  config.augment.rotate = float("rotation" in config.method.kept)
  config.model.padding = "torch"
  config.model.weight_init = "torch"
  config.model.zero_gamma = False
  config.model.bn_groups = 8  # MoCo's eight GPUs; the keys' groups are shuffled
  config.data.source = "folder"
  config.data.eval_split = "val"
  config.optimizer.name = "sgd"
  config.optimizer.base_lr = 0.03
  config.optimizer.warmup_epochs = 0.0
  config.optimizer.lr_schedule = "step"
  config.optimizer.milestones = (300.0, 400.0)
  config.optimizer.weight_decay = 1e-4
  config.optimizer.decay_exclude = "none"
  return config
