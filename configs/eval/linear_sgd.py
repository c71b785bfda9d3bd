"""Linear probe by SGD on h, trained on random crops and flips.

python eval.py --workdir=DIR --config=configs/eval/linear_sgd.py
"""

from contrastive_jax.evaluation import config as eval_config


def get_config():
  config = eval_config.evaluation("linear_sgd", name="linear_sgd")
  config.linear_sgd.augment = True
  return config
