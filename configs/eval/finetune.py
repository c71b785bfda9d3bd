"""Fine-tuning from h, beside the same network trained from scratch on the same labels.

contrastive_jax eval --workdir=DIR --config=eval/finetune
contrastive_jax eval --workdir=DIR --config=eval/finetune \\
  --config.data.max_train=1000    # few labels, of each class its share
  (--config.data.train_share=0.01 takes 1 % of each class instead)

SimCLR v2, from the first layer of its head of three: --config.layers=z.1
"""

from contrastive_jax.evaluation import config as eval_config


def get_config():
  config = eval_config.evaluation("finetune", name="finetune")
  config.baselines = ("random_init",)
  return config
