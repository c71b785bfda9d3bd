"""Small networks for tests, and variables for them."""

import flax
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from contrastive_jax.models import norm, resnet

KEY = jax.random.key(0)


def tiny(block=resnet.BasicBlock, **options):
  """Two stages of one block each, quick to compile."""
  return resnet.ResNet((1, 1), block, 8, **{"stem": "cifar_s2", **options})


class Endpoints(nn.Module):
  """A convolution, batch norm, a mean: every kind of endpoint in a few operations."""

  @nn.compact
  def __call__(self, x, train):
    x = norm.BatchNorm()(nn.Conv(5, (3, 3))(x), train)
    x = nn.tanh(x)
    return {"block1": x, "h": x.mean((1, 2)), "z": nn.Dense(3)(x.mean((1, 2)))}


def start(module, x, *path):
  """One initial parameter; the others are not computed, which saves seconds of compilation."""

  def leaf():
    tree = module.init(KEY, x, True)["params"]
    for name in path:
      tree = tree[name]
    return tree

  return np.asarray(jax.jit(leaf)())


def shapes(module, size_px=32, rows=2, train=False):
  """Variables and outputs as shapes, without computing anything."""
  x = jnp.zeros((rows, size_px, size_px, 3))
  return jax.eval_shape(lambda: module.init_with_output(KEY, x, train))


def count(tree):
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


def flat(tree):
  return flax.traverse_util.flatten_dict(tree, sep="/")


def random_variables(module, x, seed=0):
  """Variables of a module with nothing at 0 or 1, so that no term can hide."""
  rng = np.random.default_rng(seed)
  tree = jax.eval_shape(lambda: module.init(KEY, x, False))

  def draw(path, leaf):
    if path[-1].key in ("scale", "var"):
      return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
    size = np.sqrt(2 / max(1, np.prod(leaf.shape[:-1]))) if leaf.ndim > 1 else 0.2
    return (rng.normal(size=leaf.shape) * size).astype(np.float32)

  return jax.tree_util.tree_map_with_path(draw, tree)


def example(rows=16, size_px=16, seed=0):
  rng = np.random.default_rng(seed)
  x = rng.normal(size=(rows, size_px, size_px, 3)).astype(np.float32)
  return x * rng.uniform(0.5, 2, (rows, 1, 1, 1)).astype(np.float32)
