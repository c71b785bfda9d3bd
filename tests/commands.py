"""The command line, called in this process."""

from contrastive_jax import cli

QUICK = "--config=shapes/quickstart"


def run(command, arguments):
  cli.main([command, *arguments])
