"""Linear probe by L-BFGS on h, its l2 penalty chosen on held-out examples.

contrastive_jax eval --workdir=DIR --config=eval/linear_lbfgs
"""

from contrastive_jax.evaluation import config as eval_config


def get_config():
  return eval_config.evaluation("linear_lbfgs", name="linear_lbfgs")
