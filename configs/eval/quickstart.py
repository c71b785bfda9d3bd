"""Neighbours, a linear probe and a picture of the quickstart's run, beside an untrained net.

contrastive_jax eval --workdir=runs/quickstart --config=eval/quickstart
"""

from contrastive_jax.evaluation import config as eval_config


def get_config():
  config = eval_config.evaluation("knn", "linear_sgd", "picture", name="quickstart")
  config.linear_sgd.rates = ()  # one rate and no more steps than epochs: as its figures were made
  config.linear_sgd.min_steps = 0
  config.baselines = ("random_init", "raw_pixels")
  return config
