"""Selective kernels on ResNet-D: the unit's formula, its sizes, and where they replace what."""

import functools

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax import errors, models
from contrastive_jax.models import norm, resnet

SK = 0.0625


def paths(name, size_px=224, **options):
  """Returns {path: shape} of the parameters."""
  module = models.backbone(name, **options)
  x = jnp.zeros((2, size_px, size_px, 3))
  tree = jax.eval_shape(lambda: module.init(jax.random.key(0), x, False))["params"]
  return {k: v.shape for k, v in flax.traverse_util.flatten_dict(tree, sep="/").items()}


@pytest.mark.parametrize(("width", "sk_ratio", "millions"), [(1, 0, 24), (1, SK, 35), (2, SK, 140)])
def test_resnet50_has_the_published_size(width, sk_ratio, millions):
  """SimCLR v2, Table 1, in millions without the classifier; recalled, not read again."""
  shapes = paths("resnet50", width=width, sk_ratio=sk_ratio).values()
  assert round(sum(np.prod(shape) for shape in shapes) / 1e6) == millions


def test_the_unit_mixes_its_branches_as_the_formula_says():
  """V = a U1 + b U2; (a, b) = softmax over branches of B relu(bn(A mean(U1 + U2)))."""
  rng = np.random.default_rng(0)
  channels = 3
  conv = functools.partial(
    resnet._conv, symmetric=False, kernel_init=jax.nn.initializers.normal(1.0), dtype=jnp.float32
  )
  unit = resnet.SelectiveKernel(channels, 1, conv, norm.BatchNorm, SK)
  x = rng.normal(size=(2, 4, 4, 5)).astype(np.float32)
  variables = unit.init(jax.random.key(1), x, False)
  got = unit.apply(variables, x, False)
  p = jax.tree.map(np.asarray, variables["params"])
  padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
  u = sum(
    padded[:, i : i + 4, j : j + 4] @ p["conv"]["kernel"][i, j] for i in range(3) for j in range(3)
  )
  u = np.maximum(u / np.sqrt(1 + 1e-5), 0)  # running statistics are still 0 and 1
  u1, u2 = u[..., :channels], u[..., channels:]
  squeezed = (u1 + u2).mean((1, 2)) @ p["squeeze"]["kernel"][0, 0]
  assert squeezed.shape[-1] == 32, "never below 32"
  logits = np.maximum(squeezed / np.sqrt(1 + 1e-5), 0) @ p["select"]["kernel"][0, 0]
  a, b = np.exp(logits[:, :channels]), np.exp(logits[:, channels:])
  a, b = a / (a + b), b / (a + b)
  wanted = a[:, None, None] * u1 + b[:, None, None] * u2
  np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_the_bottleneck_of_the_unit_is_a_share_of_wide_channels():
  shapes = paths("resnet50", width=2, sk_ratio=0.125)
  assert shapes["block1_1/sk/squeeze/kernel"] == (1, 1, 128, 32)  # 128 / 8 = 16 < 32
  assert shapes["block4_1/sk/squeeze/kernel"] == (1, 1, 1024, 128)
  assert shapes["block4_1/sk/select/kernel"] == (1, 1, 128, 2 * 1024)


def test_the_units_replace_every_3x3_and_the_stem():
  plain, sk = paths("resnet50"), paths("resnet50", sk_ratio=SK)
  assert not any("/conv2/" in path for path in sk)
  assert sum(path.endswith("sk/conv/kernel") for path in sk) == 3 + 4 + 6 + 3
  stem = [sk[f"stem_conv{i}/kernel"] for i in ("1", "2", "")]
  assert stem == [(3, 3, 3, 32), (3, 3, 32, 32), (3, 3, 32, 64)]
  assert sk["block2_1/conv_skip/kernel"] == plain["block2_1/conv_skip/kernel"]
  assert not any("sk/" in path or "stem_conv1" in path for path in plain)


def test_a_small_image_keeps_its_single_3x3_stem():
  shapes = paths("resnet50", 32, sk_ratio=SK)
  assert shapes["stem_conv/kernel"] == (3, 3, 3, 64) and "stem_conv1/kernel" not in shapes


@pytest.mark.parametrize("stride", [1, 2])
def test_the_shortcut_takes_a_mean_before_its_projection(stride):
  """ResNet-D; at the border the mean is over the pixels that exist."""

  class Block(resnet.BasicBlock):
    def __call__(self, x, train):
      return resnet._shortcut(self, x, 2, train)

    __call__ = resnet.nn.compact(__call__)

  def conv(channels, kernel_px, stride, name):
    assert (kernel_px, stride) == (1, 1), "the mean has taken the stride"
    return lambda x: jnp.concatenate([x, x], axis=-1)

  def no_norm(name):
    return lambda x, train: x

  x = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
  block = Block(2, stride, conv, no_norm, None, SK)
  got = block.apply({}, x, False)[0, :, :, 0]
  wanted = np.zeros((4 // stride, 4 // stride))
  for i in range(0, 4, stride):
    for j in range(0, 4, stride):
      wanted[i // stride, j // stride] = x[0, i : i + 2, j : j + 2, 0].mean()
  np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_training_with_units_reaches_every_parameter_in_bfloat16():
  module = resnet.ResNet(
    (1, 1), resnet.BottleneckBlock, 4, sk_ratio=SK, zero_gamma=False, dtype="bfloat16", remat=True
  )
  x = jax.random.uniform(jax.random.key(0), (4, 8, 8, 3))
  variables = jax.jit(lambda key: module.init(key, x, False))(jax.random.key(1))

  def loss(params):
    ends, _ = module.apply(variables | {"params": params}, x, True, mutable=["batch_stats"])
    return jnp.sum(ends["h"] ** 2)

  grads = jax.jit(jax.grad(loss))(variables["params"])
  for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
    assert np.all(np.isfinite(leaf)) and np.any(leaf), jax.tree_util.keystr(path)


def test_a_ratio_that_is_none_is_refused():
  with pytest.raises(errors.UserError, match="sk_ratio -1 is no ratio; use 0"):
    models.backbone("resnet50", sk_ratio=-1)
