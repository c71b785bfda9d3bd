"""Neighbours, a linear probe and a picture of the quickstart's run, beside an untrained net.

contrastive_jax eval --workdir=runs/quickstart --config=eval/quickstart
"""

from contrastive_jax.evaluation import config as eval_config


def get_config():
  config = eval_config.evaluation("knn", "linear_sgd", "picture", name="quickstart")
  config.linear_sgd.standardize = True  # one learning rate for features of every scale
  config.baselines = ("random_init", "raw_pixels")
  return config
