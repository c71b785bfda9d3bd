"""A network small enough to be written down again in numpy and float64, for oracles of methods."""

import jax
import numpy as np
from flax import linen as nn

from contrastive_jax.models import norm

EPS = 1e-5  # of batch norm


class Backbone(nn.Module, norm.Options):
  """h = BN(W x) of the flattened image, with a resnet's options of batch norm."""

  features: int = 6
  weight_init: str = "torch"

  @nn.compact
  def __call__(self, x, train):
    x = nn.Dense(self.features, use_bias=False, name="dense")(x.reshape(len(x), -1))
    return {"h": self.batch_norm()(name="norm")(x, train)}


def views(num_images, num_views=2, size_px=2, seed=0):
  """Float32 views [B, V, H, W, 3]; the views of an image are near each other."""
  rng = np.random.default_rng(seed)
  image = rng.normal(size=(num_images, 1, size_px, size_px, 3))
  noise = rng.normal(size=(num_images, num_views, size_px, size_px, 3))
  return (image + 0.3 * noise).astype(np.float32)


def start(net, size_px=2, seed=0):
  """(params, stats) of a network, with every leaf random so that no term can hide."""
  x = np.zeros((1, size_px, size_px, 3), np.float32)
  shapes = jax.eval_shape(lambda: net.init(jax.random.key(0), x, train=False))
  rng = np.random.default_rng(seed)

  def draw(path, leaf):
    if path[-1].key in ("scale", "var"):
      return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
    return (rng.normal(size=leaf.shape) * 0.5).astype(np.float32)

  variables = jax.tree_util.tree_map_with_path(draw, shapes)
  return variables["params"], variables["batch_stats"]


def normalised(x, subset, scale=1.0, bias=0.0):
  """Batch norm of rows [N, C] in which `subset` [N] numbers the rows that share statistics."""
  y = np.empty_like(x)
  for s in set(subset.tolist()):
    rows = subset == s
    y[rows] = (x[rows] - x[rows].mean(0)) / np.sqrt(x[rows].var(0) + EPS)
  return y * scale + bias


def mlp(params, x, subset, last_plain=False):
  """A `heads.MLP` on rows [N, F]: dense, batch norm, ReLU; after the last layer no ReLU."""
  layers = sum(name.startswith("dense") for name in params)
  for layer in range(1, layers + 1):
    dense, bn = params[f"dense{layer}"], params.get(f"norm{layer}")
    x = x @ np.asarray(dense["kernel"], np.float64) + np.asarray(dense.get("bias", 0), np.float64)
    if bn is not None:
      x = normalised(x, subset, *(np.asarray(bn.get(k, 0), np.float64) for k in ("scale", "bias")))
    elif layer == layers and last_plain:
      x = normalised(x, subset)
    if layer < layers:
      x = np.maximum(x, 0)
  return x


def h(params, views, subset):
  """`Backbone` on one view of each image [B, H, W, 3], in float64."""
  p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["backbone"])
  x = views.astype(np.float64).reshape(len(views), -1)
  return normalised(x @ p["dense"]["kernel"], subset, **p["norm"])


def unit(x):
  return x / np.linalg.norm(x, axis=-1, keepdims=True)
