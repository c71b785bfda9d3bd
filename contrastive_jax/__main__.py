"""`python -m contrastive_jax` is the command `contrastive_jax`."""

from contrastive_jax import cli

if __name__ == "__main__":
  cli.main()
