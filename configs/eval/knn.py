"""Weighted nearest neighbours on h.

contrastive_jax eval --workdir=DIR --config=eval/knn
"""

from contrastive_jax.evaluation import config as eval_config


def get_config():
  return eval_config.evaluation("knn", name="knn")
