"""Contrastive learning of image representations in JAX."""

__version__ = "0.1.0"
