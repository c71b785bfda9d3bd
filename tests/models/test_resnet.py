"""What a ResNet computes and starts from, against loops, torch and the named schemes."""

import jax
import jax.numpy as jnp
import nets
import numpy as np
import pytest

from contrastive_jax import models


def window_sums(image, kernel_px, stride, before, after):
  """Sums over strided square windows of a zero-padded image, as loops."""
  padded = np.pad(image, (before, after))
  starts = range(0, padded.shape[0] - kernel_px + 1, stride)
  return np.array(
    [[padded[i : i + kernel_px, j : j + kernel_px].sum() for j in starts] for i in starts]
  )


PADS = {("same", 7): (2, 3), ("torch", 7): (3, 3), ("simclr", 7): (3, 3)}
PADS |= {("same", 3): (0, 1), ("torch", 3): (1, 1), ("simclr", 3): (1, 1)}


@pytest.mark.parametrize(("padding", "kernel_px"), PADS)
def test_strided_convolutions_pad_as_named(padding, kernel_px):
  stem = {7: "imagenet", 3: "cifar_s2"}[kernel_px]
  module = nets.tiny(stem=stem, padding=padding)
  x = np.random.default_rng(0).uniform(0.1, 1, (1, 12, 12, 3)).astype(np.float32)
  variables = nets.random_variables(module, x)
  variables["params"]["stem_conv"]["kernel"][:] = 1
  _, seen = jax.jit(lambda v: module.apply(v, x, False, capture_intermediates=True))(variables)
  got = seen["intermediates"]["stem_conv"]["__call__"][0][0, :, :, 0]
  wanted = window_sums(x[0].sum(-1), kernel_px, 2, *PADS[padding, kernel_px])
  np.testing.assert_allclose(got, wanted, rtol=1e-5)


@pytest.mark.parametrize("padding", ["same", "torch", "simclr"])
def test_the_max_pool_pads_as_named(padding):
  module = nets.tiny(stem="imagenet", padding=padding)
  x = np.random.default_rng(0).uniform(size=(1, 16, 16, 3)).astype(np.float32)
  variables = nets.random_variables(module, x)
  apply = jax.jit(lambda v: module.apply(v, x, False, capture_intermediates=True))
  ends, seen = apply(variables)
  before = np.maximum(seen["intermediates"]["stem_norm"]["__call__"][0][0], 0)  # 8 x 8
  shift = 1 if padding == "torch" else 0
  for i in range(4):
    for j in range(4):
      top, left = max(0, 2 * i - shift), max(0, 2 * j - shift)
      window = before[top : 2 * i - shift + 3, left : 2 * j - shift + 3]
      np.testing.assert_allclose(ends["stem"][0, i, j], window.max((0, 1)), rtol=1e-6)  # fused


def torch_resnet18(torch):
  """ResNet-18 from its description (He et al., Table 1), as a function of named modules."""
  nn_ = torch.nn

  def conv(i, o, k, s):
    return nn_.Conv2d(i, o, k, s, k // 2, bias=False)

  class Block(nn_.Module):
    def __init__(self, i, o, s):
      super().__init__()
      self.conv1, self.norm1 = conv(i, o, 3, s), nn_.BatchNorm2d(o)
      self.conv2, self.norm2 = conv(o, o, 3, 1), nn_.BatchNorm2d(o)
      if s != 1 or i != o:
        self.conv_skip, self.norm_skip = conv(i, o, 1, s), nn_.BatchNorm2d(o)

    def forward(self, x):
      y = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
      skip = self.norm_skip(self.conv_skip(x)) if hasattr(self, "conv_skip") else x
      return torch.relu(y + skip)

  class Net(nn_.Module):
    def __init__(self):
      super().__init__()
      self.stem_conv, self.stem_norm = conv(3, 64, 7, 2), nn_.BatchNorm2d(64)
      widths = [64, 64, 128, 256, 512]
      for stage in range(1, 5):
        i, o = widths[stage - 1 : stage + 1]
        self.add_module(f"block{stage}_1", Block(i, o, 1 if stage == 1 else 2))
        self.add_module(f"block{stage}_2", Block(o, o, 1))

    def forward(self, x):
      x = torch.relu(self.stem_norm(self.stem_conv(x)))
      x = nn_.functional.max_pool2d(x, 3, 2, 1)
      for stage in range(1, 5):
        for unit in (1, 2):
          x = getattr(self, f"block{stage}_{unit}")(x)
      return x.mean((2, 3))

  return Net()


def copy_to_torch(torch, variables, theirs):
  names = {"kernel": "weight", "scale": "weight", "bias": "bias"}
  names |= {"mean": "running_mean", "var": "running_var"}
  state = {}
  for path, value in (nets.flat(variables["params"]) | nets.flat(variables["batch_stats"])).items():
    *module, leaf = path.split("/")
    value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value
    state[".".join([*module, names[leaf]])] = torch.tensor(value)
  missing, unexpected = theirs.load_state_dict(state, strict=False)
  assert not unexpected and all("num_batches_tracked" in name for name in missing)


def test_resnet18_equals_torch_in_evaluation_and_in_training():
  torch = pytest.importorskip("torch")
  torch.set_num_threads(1)  # its idle threads spin, which starves a busy machine
  module = models.backbone("resnet18", stem="imagenet", padding="torch")
  x = np.random.default_rng(0).normal(size=(4, 64, 64, 3)).astype(np.float32)
  variables = nets.random_variables(module, x)
  theirs = torch_resnet18(torch)
  copy_to_torch(torch, variables, theirs)
  tx = torch.tensor(x.transpose(0, 3, 1, 2))
  for train in (False, True):
    theirs.train(train)
    with torch.no_grad():
      wanted = theirs(tx).numpy()
    ends, new = jax.jit(lambda v, train=train: module.apply(v, x, train, mutable=["batch_stats"]))(
      variables
    )
    # 17 float32 convolutions, each summed in another order
    np.testing.assert_allclose(ends["h"], wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())
  moved = new["batch_stats"]["block4_2"]["norm2"]["mean"]
  np.testing.assert_allclose(
    moved, theirs.block4_2.norm2.running_mean.numpy(), rtol=1e-3, atol=1e-4
  )


@pytest.mark.parametrize("zero_gamma", [True, False])
def test_zero_gamma_makes_blocks_start_as_their_shortcut(zero_gamma):
  module = nets.tiny(zero_gamma=zero_gamma)
  x = nets.example()
  variables = nets.random_variables(module, x)
  variables["params"]["block1_1"]["norm2"] |= {
    name: nets.start(module, x, "block1_1", "norm2", name) for name in ("scale", "bias")
  }
  ends = jax.jit(lambda v: module.apply(v, x, True))(variables)
  # block1 has an identity shortcut, and its input is already rectified
  assert np.array_equal(ends["block1"], ends["stem"]) == zero_gamma


@pytest.mark.parametrize(
  ("weight_init", "variance"), [("simclr", 1 / 64), ("torch", 2 / 128), ("haiku", 0.7737 / 64)]
)
def test_convolutions_start_with_the_named_variance(weight_init, variance):
  module = nets.tiny(weight_init=weight_init, width=8)
  kernel = nets.start(module, jnp.zeros((1, 8, 8, 3)), "block2_1", "conv1", "kernel")
  assert np.var(kernel) == pytest.approx(variance / 9, rel=0.03)  # 73,728 numbers: 6 errors
  assert (np.abs(kernel).max() < 2.5 * np.std(kernel)) == (weight_init != "torch")  # truncated


@pytest.mark.parametrize(("stem", "side"), [("cifar", 16), ("cifar_pad2", 18)])
def test_solo_learns_stem_has_a_rim_of_a_pixel_more(stem, side):
  module = models.backbone("resnet8", stem=stem)
  x = jnp.zeros((2, 16, 16, 3))
  ends, _ = jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), x, False))
  assert ends["stem"].shape == (2, side, side, 16)


def test_a_stem_without_relu_has_what_is_below_0():
  x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
  with_relu, without = (models.backbone("resnet8", stem_relu=on) for on in (True, False))
  variables = with_relu.init(jax.random.key(0), x, False)
  stem = without.apply(variables, x, False)["stem"]
  assert stem.min() < 0
  np.testing.assert_array_equal(with_relu.apply(variables, x, False)["stem"], np.maximum(stem, 0))


def test_features_are_a_float32_mean_of_the_last_map():
  """Of bfloat16 and 32 x 32 places, where Flax's avg_pool is 20 % off (findings/)."""
  module = nets.tiny(dtype="bfloat16")
  x = np.random.default_rng(0).uniform(size=(2, 128, 128, 3)).astype(np.float32)
  ends = jax.jit(module.apply, static_argnums=2)(nets.random_variables(module, x), x, False)
  last = np.asarray(ends["block2"], np.float64)
  assert ends["block2"].dtype == jnp.bfloat16 and last.shape[1:3] == (32, 32)
  np.testing.assert_allclose(ends["h"], last.mean((1, 2)), rtol=1e-4, atol=1e-5)
