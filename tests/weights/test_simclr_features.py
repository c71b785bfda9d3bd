"""SimCLR's checkpoints: features against its forward pass in NumPy, as its released code describes.

The network makes its variables as it goes, under TensorFlow's names, so that their order is that
of the code: google-research/simclr, resnet.py, in the form of version 1 and of version 2 with
selective kernels. A first stage of one block and a second of two are enough for all that it has.
"""

import functools

import foreign
import jax
import numpy as np
import pytest

from contrastive_jax import models
from contrastive_jax.models import resnet
from contrastive_jax.weights import start, tree

SIZES, CHANNELS, RATIO = (1, 2), 8, 0.0625


class Simclr:
  """Inference in float64; `variables` are what a checkpoint holds."""

  def __init__(self, selective):
    self.selective, self.variables, self.counts = selective, {}, {}
    self.rng = np.random.default_rng(0)

  def make(self, kind, **leaves):
    number = self.counts.get(kind, 0)
    self.counts[kind] = number + 1
    place = f"base_model/{kind}{f'_{number}' if number else ''}"
    self.variables |= {f"{place}/{k}": v.astype(np.float32) for k, v in leaves.items()}
    return [v.astype(np.float32).astype(np.float64) for v in leaves.values()]

  def conv(self, x, filters, side, stride):
    """Its own padding where it strides, (side - 1) / 2 on both sides, otherwise SAME."""
    shape = (side, side, x.shape[-1], filters)
    (kernel,) = self.make(
      "conv2d", kernel=self.rng.normal(size=shape) * 0.1 * np.prod(shape[:3]) ** -0.5
    )
    before = (side - 1) // 2
    x = np.pad(x, ((0, 0), *[(before, side - 1 - before)] * 2, (0, 0)))
    return np.einsum("nhwcij,ijco->nhwo", windows(x, side, stride), kernel)

  def norm(self, x, relu=True):
    count, draw = x.shape[-1], self.rng.uniform
    gamma, beta, mean, variance = self.make(
      "batch_normalization",
      gamma=draw(0.6, 1.2, count),
      beta=draw(-0.2, 0.2, count),
      moving_mean=draw(-0.2, 0.2, count),
      moving_variance=draw(0.005, 0.02, count),  # as small as what comes: epsilon counts
    )
    y = (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    return np.maximum(y, 0) if relu else y

  def shortcut(self, x, filters, stride):
    if self.selective:  # ResNet-D
      if stride > 1:
        x = windows(np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0))), 2, stride).mean((-1, -2))
      else:  # SAME: a zero beyond the edge does not count
        ones = np.pad(np.ones_like(x), ((0, 0), (0, 1), (0, 1), (0, 0)))
        padded = np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
        x = windows(padded, 2, 1).sum((-1, -2)) / windows(ones, 2, 1).sum((-1, -2))
      stride = 1
    return self.norm(self.conv(x, filters, 1, stride), relu=False)

  def selected(self, x, filters, stride):
    x = self.norm(self.conv(x, 2 * filters, 3, stride))
    both = np.stack(np.split(x, 2, axis=-1))
    pooled = both.sum(0).mean((1, 2), keepdims=True)
    pooled = self.norm(self.conv(pooled, max(int(filters * RATIO), 32), 1, 1))
    mixing = np.stack(np.split(self.conv(pooled, 2 * filters, 1, 1), 2, axis=-1))
    mixing = np.exp(mixing) / np.exp(mixing).sum(0)
    return (both * mixing).sum(0)

  def block(self, x, filters, stride, project):
    rest = self.shortcut(x, 4 * filters, stride) if project else x
    x = self.norm(self.conv(x, filters, 1, 1))
    if self.selective:
      x = self.selected(x, filters, stride)
    else:
      x = self.norm(self.conv(x, filters, 3, stride))
    x = self.norm(self.conv(x, 4 * filters, 1, 1), relu=False)
    return np.maximum(x + rest, 0)

  def __call__(self, x):
    self.variables, self.counts = {}, {}
    if self.selective:
      x = self.norm(self.conv(x, CHANNELS // 2, 3, 2))
      x = self.norm(self.conv(x, CHANNELS // 2, 3, 1))
      x = self.norm(self.conv(x, CHANNELS, 3, 1))
    else:
      x = self.norm(self.conv(x, CHANNELS, 7, 2))
    edge = ((0, 0), (0, 1), (0, 1), (0, 0))  # SAME on an even side
    x = windows(np.pad(x, edge, constant_values=-np.inf), 3, 2).max((-1, -2))
    for stage, size in enumerate(SIZES):
      for unit in range(size):
        stride = 2 if stage and not unit else 1
        x = self.block(x, CHANNELS * 2**stage, stride, project=not unit)
    return x.mean((1, 2))


def windows(x, side, stride):
  found = np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(1, 2))
  return found[:, ::stride, ::stride]


def features(found, x, **changes):
  params, stats = tree.nested(found.arrays)
  net = models.backbone(**found.model | changes)
  variables = {"params": params, "batch_stats": stats}
  return np.asarray(jax.jit(lambda x: net.apply(variables, x, train=False)["h"])(x))


def test_the_same_weights_are_taken_under_the_names_of_tensorflow_2(tmp_path, monkeypatch):
  monkeypatch.setattr(
    resnet, "resnet50", functools.partial(resnet.ResNet, SIZES, resnet.BottleneckBlock)
  )
  for selective in (False, True):
    net = Simclr(selective)
    net(np.zeros((1, 32, 32, 3)))
    np.savez(tmp_path / "1.npz", **net.variables)
    wanted = start.read(str(tmp_path / "1.npz"))
    for by_variable in (False, True):
      named = foreign.simclr_tf2(net.variables, SIZES, selective, by_variable)
      graph = {} if by_variable else {"_CHECKPOINTABLE_OBJECT_GRAPH": b"\n\x0f"}
      np.savez(tmp_path / "2.npz", **named, **graph)
      found = start.read(str(tmp_path / "2.npz"))
      assert len(named) == len(net.variables) and found.model == wanted.model
      assert found.arrays.keys() == wanted.arrays.keys()
      for name, array in found.arrays.items():
        np.testing.assert_array_equal(array, wanted.arrays[name], err_msg=name)


@pytest.mark.parametrize("selective", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_features_are_those_of_the_released_code(selective, tmp_path, monkeypatch):
  small = functools.partial(resnet.ResNet, SIZES, resnet.BottleneckBlock)
  monkeypatch.setattr(resnet, "resnet50", small)
  x = np.random.default_rng(1).normal(size=(2, 32, 32, 3)).astype(np.float32)
  net = Simclr(selective)
  wanted = net(x.astype(np.float64))
  more = {"head_contrastive/nl_0/dense/kernel": np.ones((4, 4)), "global_step": np.asarray(7)}
  np.savez(tmp_path / "simclr.npz", **net.variables, **more)
  found = start.read(str(tmp_path / "simclr.npz"))
  assert found.layout == "simclr" and found.model["name"] == "resnet50"
  assert found.model["width"] == CHANNELS / 64 and bool(found.model["sk_ratio"]) == selective
  farthest = np.abs(wanted).max()
  np.testing.assert_allclose(features(found, x), wanted, rtol=0, atol=1e-5 * farthest)
  if selective:
    return
  for wrong in ({"padding": "same"}, {"padding": "torch"}, {"bn_eps": 1e-3}):
    assert np.abs(features(found, x, **wrong) - wanted).max() > 1e-2 * farthest, wrong
