"""A linear probe and neighbours, on h and on z: what the head drops.

contrastive_jax eval --workdir=DIR --config=eval/h_and_z
"""

from contrastive_jax.evaluation import config as eval_config


def get_config():
  config = eval_config.evaluation("linear_sgd", "knn", name="h_and_z")
  config.layers = ("h", "z")
  return config
