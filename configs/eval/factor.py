"""Neighbours and a linear probe, on h and z, for one factor of the images, which is the argument.

contrastive_jax eval --workdir=DIR --config=eval/factor
contrastive_jax eval --workdir=DIR --config=eval/factor:rotation
contrastive_jax eval --workdir=DIR --config=eval/factor:hue    # of the built-in images
"""

from contrastive_jax.evaluation import config as eval_config


def get_config(factor="shape"):
  config = eval_config.evaluation("knn", "linear_lbfgs", name=f"factor_{factor}")
  config.layers = ("h", "z")
  config.data.label = factor
  return config
