#!/usr/bin/env python3
"""Evaluates a frozen encoder: python eval.py --workdir=runs/first --config=configs/eval/all.py."""

from contrastive_jax import cli, evaluate

if __name__ == "__main__":
  cli.main(evaluate.run, evaluate.describe, default_config="configs/eval/all.py")
