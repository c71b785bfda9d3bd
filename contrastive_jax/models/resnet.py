"""Residual networks: He et al. (CVPR 2016) in the v1.5 form, and their small CIFAR relatives.

v1.5 puts the stride of a bottleneck on its 3x3 convolution. Convolutions have no bias. The shortcut
is the identity wherever shapes allow, else a strided 1x1 convolution with batch norm. With
`sk_ratio` above 0 it is SimCLR v2's network: selective kernels on ResNet-D.

The named networks are constructors of `ResNet` with the depth filled in; every other field stays an
option, e.g. `resnet50(width=2, dtype="bfloat16", remat=True)`.
"""

import functools
from collections.abc import Callable

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from contrastive_jax import errors
from contrastive_jax.models import blocks, convolution, heads
from contrastive_jax.models import norm as norms
from contrastive_jax.options import option

__all__ = [
  "resnet8",
  "resnet14",
  "resnet20",
  "resnet18",
  "resnet34",
  "resnet50",
  "resnet101",
  "resnet152",
  "resnet200",
]

STEMS = ("auto", "imagenet", "cifar", "cifar_s2", "cifar_pad2")
_KERNELS = {  # side and stride of the stem's convolution
  "imagenet": (7, 2),
  "cifar": (3, 1),
  "cifar_s2": (3, 2),
  "cifar_pad2": (3, 1),
}
SMALL_IMAGE_PX = 32  # up to here "auto" takes the CIFAR stem (SimCLR, section B.9)

# "same": TensorFlow's, asymmetric at stride 2. "torch": k//2 on both sides. "simclr": convolutions
# as "torch" and the max-pool as "same", which is what the published SimCLR code does.
SYMMETRIC_CONV = {"same": False, "torch": True, "simclr": True}
SYMMETRIC_POOL = {"same": False, "torch": True, "simclr": False}

CONV_INITS = {
  "simclr": nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal"),
  "torch": nn.initializers.variance_scaling(2.0, "fan_out", "normal"),
  "haiku": heads.HAIKU,
}


def pad(kernel_px: int, symmetric: bool) -> str | list[tuple[int, int]]:
  """Padding of a square window, as flax takes it."""
  return [(kernel_px // 2, kernel_px // 2)] * 2 if symmetric else "SAME"


class BasicBlock(nn.Module):
  """Two 3x3 convolutions (He et al., Figure 5 left); `channels` out."""

  channels: int
  stride: int
  conv: Callable
  norm: Callable
  last_scale_init: Callable
  sk_ratio: float = 0.0
  expansion = 1

  @nn.compact
  def __call__(self, x: Float[Array, "N H W C"], train: bool) -> Float[Array, "N h w c"]:
    y = self.conv(self.channels, 3, self.stride, name="conv1")(x)
    y = nn.relu(self.norm(name="norm1")(y, train))
    y = self.conv(self.channels, 3, 1, name="conv2")(y)
    y = self.norm(name="norm2", scale_init=self.last_scale_init)(y, train)
    return nn.relu(y + _shortcut(self, x, y.shape[-1], train))


class BottleneckBlock(nn.Module):
  """1x1, 3x3 and 1x1 convolutions (He et al., Figure 5 right); 4·`channels` out."""

  channels: int
  stride: int
  conv: Callable
  norm: Callable
  last_scale_init: Callable
  sk_ratio: float = 0.0
  expansion = 4

  @nn.compact
  def __call__(self, x: Float[Array, "N H W C"], train: bool) -> Float[Array, "N h w c"]:
    y = self.conv(self.channels, 1, 1, name="conv1")(x)
    y = nn.relu(self.norm(name="norm1")(y, train))
    if self.sk_ratio:
      y = SelectiveKernel(
        self.channels, self.stride, self.conv, self.norm, self.sk_ratio, name="sk"
      )(y, train)
    else:
      y = self.conv(self.channels, 3, self.stride, name="conv2")(y)
      y = nn.relu(self.norm(name="norm2")(y, train))
    y = self.conv(self.channels * self.expansion, 1, 1, name="conv3")(y)
    y = self.norm(name="norm3", scale_init=self.last_scale_init)(y, train)
    return nn.relu(y + _shortcut(self, x, y.shape[-1], train))


class SelectiveKernel(nn.Module):
  """Two 3x3 convolutions, mixed channel by channel with weights that depend on the whole image.

  Li et al., "Selective Kernel Networks" (CVPR 2019), in the form of SimCLR v2's released code: both
  branches are 3x3, and the bottleneck has `channels`·`ratio` channels but at least 32.
  """

  channels: int
  stride: int
  conv: Callable
  norm: Callable
  ratio: float

  @nn.compact
  def __call__(self, x: Float[Array, "N H W C"], train: bool) -> Float[Array, "N h w c"]:
    y = self.conv(2 * self.channels, 3, self.stride, name="conv")(x)
    y = nn.relu(self.norm(name="norm")(y, train))
    y = y.reshape(*y.shape[:-1], 2, self.channels)
    pooled = y.astype(jnp.float32).sum(-2).mean((1, 2), keepdims=True)
    mix = self.conv(max(int(self.channels * self.ratio), 32), 1, 1, name="squeeze")(pooled)
    mix = nn.relu(self.norm(name="norm_squeeze")(mix, train))
    mix = self.conv(2 * self.channels, 1, 1, name="select")(mix)
    mix = nn.softmax(mix.astype(jnp.float32).reshape(*mix.shape[:-1], 2, self.channels), axis=-2)
    return jnp.sum(y * mix.astype(y.dtype), axis=-2)


def _shortcut(block: nn.Module, x: Array, channels: int, train: bool) -> Array:
  """x itself if the block keeps its shape, else its strided 1x1 projection.

  With selective kernels a mean over 2x2 takes the stride (ResNet-D: He et al., "Bag of Tricks",
  CVPR 2019, Figure 2c), at stride 1 too, as in SimCLR v2's code.
  """
  stride = block.stride
  if stride == 1 and x.shape[-1] == channels:
    return x
  if block.sk_ratio:
    x = nn.avg_pool(x, (2, 2), (stride, stride), "SAME", count_include_pad=False)
    stride = 1
  x = block.conv(channels, 1, stride, name="conv_skip")(x)
  return block.norm(name="norm_skip")(x, train)


class ResNet(nn.Module, norms.Options):
  """A residual network that returns every stage.

  Attributes:
    stage_sizes: blocks per stage; each stage after the first halves the resolution.
    block: BasicBlock or BottleneckBlock.
    base: channels of the stem and of the first stage before `width` and the block's expansion.

  The other fields are the options of a configuration. Blocks with `zero_gamma` start as their
  shortcut (Goyal et al., 2017, section 5.1). For `padding` see SYMMETRIC_CONV. With `remat` only
  the inputs of blocks are stored for the backward pass.
  """

  stage_sizes: tuple[int, ...]
  block: type[nn.Module]
  base: int = 64
  width: float = option(1.0, "multiplies every channel count, the stem's included")
  stem: str = option(
    "auto",
    "imagenet (7x7 stride 2, max-pool), cifar (3x3), cifar_s2 (3x3 stride 2: a quarter of the "
    "work), cifar_pad2 (3x3 with a rim of 2 px, as solo-learn's) or auto (cifar up to 32 px)",
  )
  stem_relu: bool = option(
    True, "ReLU after the stem (False: as lightly's CIFAR-10 benchmark cuts its ResNetGenerator)"
  )
  padding: str = option("same", "of strided windows: same (TensorFlow), torch, or simclr (mixed)")
  zero_gamma: bool = option(True, "start the last batch-norm scale of every block at 0")
  weight_init: str = option(
    "simclr", "simclr (fan-in, truncated normal), torch (He, fan-out) or haiku (BYOL)"
  )
  dtype: str = option("float32", "of activations: float32, bfloat16; parameters stay float32")
  remat: bool = option(
    False, "recompute blocks in the backward pass: less memory, more time", identity=False
  )
  sk_ratio: float = option(0.0, "selective kernels and ResNet-D: 0 off, 0.0625 as SimCLR v2")

  def __post_init__(self):
    check_choice("stem", self.stem, STEMS)
    check_choice("padding", self.padding, SYMMETRIC_CONV)
    check_choice("weight_init", self.weight_init, CONV_INITS)
    check_dtype(self.dtype)
    if self.width <= 0 or round(self.base * self.width) < 1:
      raise errors.UserError(f"model width {self.width} leaves no channels; use e.g. 0.5, 1 or 2")
    if not 0 <= self.sk_ratio <= 1:
      raise errors.UserError(f"model sk_ratio {self.sk_ratio} is no ratio; use 0 (off) or 0.0625")
    super().__post_init__()

  @nn.compact
  def __call__(self, x: Float[Array, "N H W 3"], train: bool) -> dict[str, Array]:
    """Returns "stem" (what the first block reads), "block1".. (stages), "h" [N, F] in float32."""
    conv = functools.partial(
      _conv,
      symmetric=SYMMETRIC_CONV[self.padding],
      kernel_init=CONV_INITS[self.weight_init],
      dtype=jnp.dtype(self.dtype),
    )
    norm = self.batch_norm(dtype=jnp.dtype(self.dtype))
    block = blocks.of(self.block, self, remat=self.remat, static_argnums=(2,))
    last_scale_init = nn.initializers.zeros if self.zero_gamma else nn.initializers.ones

    x = self._stem(x.astype(self.dtype), train, conv, norm)
    ends = {"stem": x}
    for stage, size in enumerate(self.stage_sizes, start=1):
      for unit in range(1, size + 1):
        x = block(
          channels=round(self.base * 2 ** (stage - 1) * self.width),
          stride=2 if stage > 1 and unit == 1 else 1,
          conv=conv,
          norm=norm,
          last_scale_init=last_scale_init,
          sk_ratio=self.sk_ratio,
          name=blocks.name(f"{stage}_{unit}"),
        )(x, train)
      ends[f"block{stage}"] = x
    ends["h"] = x.astype(jnp.float32).mean((1, 2))
    return ends

  def _stem(self, x: Array, train: bool, conv: Callable, norm: Callable) -> Array:
    stem = self.stem
    if stem == "auto":
      stem = "cifar" if max(x.shape[1:3]) <= SMALL_IMAGE_PX else "imagenet"
    kernel_px, stride = _KERNELS[stem]
    channels = round(self.base * self.width)
    if stem == "imagenet" and self.sk_ratio:  # ResNet-D: three 3x3 in place of the 7x7
      for layer, stride in ((1, 2), (2, 1)):
        x = conv(channels // 2, 3, stride, name=f"stem_conv{layer}")(x)
        x = nn.relu(norm(name=f"stem_norm{layer}")(x, train))
      kernel_px, stride = 3, 1
    if stem == "cifar_pad2":  # one pixel more than the convolution pads by itself
      x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    x = conv(channels, kernel_px, stride, name="stem_conv")(x)
    x = norm(name="stem_norm")(x, train)
    if self.stem_relu:
      x = nn.relu(x)
    if stem == "imagenet":
      x = nn.max_pool(x, (3, 3), (2, 2), pad(3, SYMMETRIC_POOL[self.padding]))
    return x


def _conv(channels, kernel_px, stride, *, symmetric, kernel_init, dtype, name) -> nn.Conv:
  """A square convolution without bias."""
  return nn.Conv(
    channels,
    (kernel_px, kernel_px),
    (stride, stride),
    pad(kernel_px, symmetric),
    use_bias=False,
    kernel_init=kernel_init,
    dtype=dtype,
    conv_general_dilated=convolution.convolve,
    name=name,
  )


def check_dtype(dtype: str | jnp.dtype) -> None:
  """Raises `UserError` unless activations can be of this type."""
  name = dtype if isinstance(dtype, str) else jnp.dtype(dtype).name
  if name == "float16":  # its gradients underflow below 6e-8
    raise errors.UserError(
      "model.dtype float16 would need its loss scaled; use bfloat16 or float32"
    )
  check_choice("dtype", name, ("float32", "bfloat16"))


def check_choice(field: str, value: str, allowed) -> None:
  """Raises `UserError` unless an option has one of the values `allowed`."""
  if value not in allowed:
    raise errors.UserError(f"model {field} {value!r} is unknown; use one of {', '.join(allowed)}")


# He et al., Table 1. ResNet-200: "Identity Mappings in Deep Residual Networks" (2016), Table 5.
resnet18 = functools.partial(ResNet, (2, 2, 2, 2), BasicBlock)
resnet34 = functools.partial(ResNet, (3, 4, 6, 3), BasicBlock)
resnet50 = functools.partial(ResNet, (3, 4, 6, 3), BottleneckBlock)
resnet101 = functools.partial(ResNet, (3, 4, 23, 3), BottleneckBlock)
resnet152 = functools.partial(ResNet, (3, 8, 36, 3), BottleneckBlock)
resnet200 = functools.partial(ResNet, (3, 24, 36, 3), BottleneckBlock)

# He et al., section 4.2: 6n + 2 layers in three stages of 16, 32 and 64 channels, for n = 1, 2, 3
# (their shortcuts pad with zeros, these project).
resnet8 = functools.partial(ResNet, (1, 1, 1), BasicBlock, 16)
resnet14 = functools.partial(ResNet, (2, 2, 2), BasicBlock, 16)
resnet20 = functools.partial(ResNet, (3, 3, 3), BasicBlock, 16)
