"""Linear probe by SGD on h: standardised features, the rate chosen on held-out training images.

contrastive_jax eval --workdir=DIR --config=eval/linear_sgd
contrastive_jax eval --workdir=DIR --config=eval/linear_sgd:published  # SimCLR's: crops and flips
"""

from contrastive_jax.evaluation import config as eval_config


def get_config(protocol="sound"):
  if protocol not in ("sound", "published"):
    raise ValueError(f'protocol "{protocol}": there are sound and published')
  config = eval_config.evaluation("linear_sgd", name="linear_sgd")
  if protocol == "published":
    config.name = "linear_sgd_published"
    config.linear_sgd.augment = True
    config.linear_sgd.standardize = False
    config.linear_sgd.rates = ()
    config.linear_sgd.min_steps = 0
  return config
