#!/usr/bin/env python3
"""Evaluates a frozen encoder: python eval.py --workdir=runs/first --config=configs/eval/all.py."""

import pathlib

from contrastive_jax import cli
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.evaluation import evaluate

_ALL = pathlib.Path(__file__).with_name("configs") / "eval" / "all.py"

if __name__ == "__main__":
  cli.main(evaluate.run, eval_config, default_config=str(_ALL))
