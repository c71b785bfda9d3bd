"""Which transformation was applied to an image, told from h and from z (SimCLR, Table 3).

contrastive_jax eval --workdir=DIR --config=eval/transformation
contrastive_jax eval --workdir=DIR --config=eval/transformation \\
  --config.transformation.which=rotation,noise --config.baselines=random_init

In the paper z is as long as h, and the transformations are part of pre-training.
"""

from contrastive_jax.evaluation import config as eval_config


def get_config():
  config = eval_config.evaluation("transformation", name="transformation")
  config.layers = ("h", "z")
  return config
