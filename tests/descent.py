"""A small tree of parameters, and steps of an optimiser on it."""

import jax
import numpy as np
import optax

SHAPES = {"conv": {"kernel": (3, 3, 2, 4), "bias": (4,)}, "norm": {"scale": (4,), "bias": (4,)}}
IS_SHAPE = {"is_leaf": lambda x: isinstance(x, tuple)}


def random_tree(seed):
  rng = np.random.default_rng(seed)
  return jax.tree.map(lambda shape: rng.normal(size=shape).astype("f4"), SHAPES, **IS_SHAPE)


def problem(steps):
  """Parameters, and a gradient for each step."""
  return random_tree(0), [random_tree(seed) for seed in range(1, steps + 1)]


def changing_rate(step):
  return 0.5 * 0.8**step


def run(optimizer, params, gradients):
  """Parameters after each step."""
  state = optimizer.init(params)
  update = jax.jit(optimizer.update)
  for gradient in gradients:
    updates, state = update(gradient, state, params)
    params = optax.apply_updates(params, updates)
  return params
