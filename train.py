#!/usr/bin/env python3
"""Pre-trains an encoder: python train.py --config=configs/quickstart.py --workdir=runs/first."""

from contrastive_jax import cli, config, trainer

if __name__ == "__main__":
  cli.main(trainer.train, config.describe)
