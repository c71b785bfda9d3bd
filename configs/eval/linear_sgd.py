"""Linear probe by SGD on h, trained on random crops and flips.

contrastive_jax eval --workdir=DIR --config=eval/linear_sgd
"""

from contrastive_jax.evaluation import config as eval_config


def get_config():
  config = eval_config.evaluation("linear_sgd", name="linear_sgd")
  config.linear_sgd.augment = True
  return config
