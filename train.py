#!/usr/bin/env python3
"""Pre-trains an encoder: python train.py --config=shapes/quickstart --workdir=runs/first.

The door to `contrastive_jax train` from a clone.
"""

import sys

from contrastive_jax import cli

if __name__ == "__main__":
  cli.main(["train", *sys.argv[1:]])
