"""Every protocol on h and z, beside an untrained net and raw pixels.

python eval.py --workdir=DIR --config=configs/eval/all.py
"""

from contrastive_jax.evaluation import config as eval_config


def get_config():
  config = eval_config.evaluation("knn", "linear_sgd", "linear_lbfgs", "picture", name="all")
  config.layers = ("h", "z")
  config.linear_sgd.standardize = True  # one learning rate for features of every scale
  config.baselines = ("random_init", "raw_pixels")
  return config
