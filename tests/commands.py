"""train.py and eval.py, called in this process."""

import sys

from absl import flags

from contrastive_jax import cli, config
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.evaluation import evaluate
from contrastive_jax.training import trainer

QUICK = "--config=configs/shapes/quickstart.py"


def forget_flags():
  flags.FLAGS.unparse_flags()
  for name in [name for name in flags.FLAGS if name.startswith("config.")]:
    delattr(flags.FLAGS, name)  # an override defines a flag, once in the life of a process


def run(script, arguments):
  forget_flags()
  main, schema, default = {
    "train": (trainer.train, config, None),
    "eval": (evaluate.run, eval_config, "configs/eval/all.py"),
  }[script]
  sys.argv = [f"{script}.py", *arguments]
  cli.main(main, schema, default)
