"""Every protocol on h and z, beside an untrained net and raw pixels.

contrastive_jax eval --workdir=DIR --config=eval/all
"""

from contrastive_jax.evaluation import config as eval_config


def get_config():
  config = eval_config.evaluation("knn", "linear_sgd", "linear_lbfgs", "picture", name="all")
  config.layers = ("h", "z")
  config.linear_sgd.rates = ()  # one will do on standardised features, and docs/results has it
  config.baselines = ("random_init", "raw_pixels")
  return config
