#!/usr/bin/env python3
"""Evaluates a frozen encoder: python eval.py --workdir=runs/first --config=eval/all.

The door to `contrastive_jax eval` from a clone.
"""

import sys

from contrastive_jax import cli

if __name__ == "__main__":
  cli.main(["eval", *sys.argv[1:]])
