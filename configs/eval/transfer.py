"""One column of a transfer table: PROTOCOL+IMAGES[+SHARE of the labels].

contrastive_jax eval --workdir=DIR --config=eval/transfer
contrastive_jax eval --workdir=DIR --config=eval/transfer:linear+own+0.01     # 1 % of the labels
contrastive_jax eval --workdir=DIR --config=eval/transfer:finetune+own+0.1
contrastive_jax eval --workdir=DIR --config=eval/transfer:linear+cifar100     # other images (TFDS)

linear: regression by L-BFGS, its penalty chosen on held-out training images (SimCLR, B.8).
"""

from contrastive_jax.evaluation import config as eval_config

PROTOCOLS = {"linear": "linear_lbfgs", "finetune": "finetune"}


def get_config(asked="linear+own"):
  protocol, images, *share = asked.split("+")
  if protocol not in PROTOCOLS or len(share) > 1:
    raise ValueError(f'"{asked}" is not PROTOCOL+IMAGES[+SHARE], e.g. linear+own+0.01')
  config = eval_config.evaluation(PROTOCOLS[protocol], name=f"transfer_{asked.replace('+', '_')}")
  config.data.train_share = float(share[0]) if share else 1.0
  if images != "own":
    config.data.source = "tfds"
    config.data.tfds.name = images
  return config
