"""Weighted nearest neighbours on h.

python eval.py --workdir=DIR --config=configs/eval/knn.py
"""

from contrastive_jax.evaluation import config as eval_config


def get_config():
  return eval_config.evaluation("knn", name="knn")
