"""SimCLR v1 and v2 as their TensorFlow checkpoints name them, brought into .npz or .safetensors.

Layers are numbered as they were made: base_model/conv2d, conv2d_1, ...; in each first block of a
stage the projection comes before the convolutions. What a number stands for follows from the sides
of all kernels in that order.
"""

import re

import numpy as np

from contrastive_jax import errors
from contrastive_jax.models import resnet
from contrastive_jax.weights.taken import Taken

_LAYER = re.compile(  # of version 1's code, and of variables in version 2's
  r"(?:base_model|resnet(?:_\d+)?)/(?:.*/)?(conv2d|(?:sync_)?batch_normalization)(?:_(\d+))?/"
  r"(\w+?)(?::0)?"
)
OPTIONS = {"padding": "simclr", "bn_eps": 1e-5}  # of the section `model`
LEAVES = {
  "kernel": ("params", "kernel"),
  "gamma": ("params", "scale"),
  "beta": ("params", "bias"),
  "moving_mean": ("stats", "mean"),
  "moving_variance": ("stats", "var"),
}
_UNUSED = (
  (r".*/Momentum(:0)?|.*/ExponentialMovingAverage(:0)?|.*/Adam(_1)?(:0)?", "of the optimiser"),
  (r"(ema_model/)?(head_(contrastive|supervised)|projection_head)/.*", "the heads"),
  (r"ema_model/.*", "the moving average of the network"),
  (r"global_step.*|current_epoch.*", "of its training"),
)


def ours(arrays: dict[str, np.ndarray]) -> Taken:
  """Returns our arrays of the base network; the heads and the optimiser's are named, not read."""
  taken, layers = Taken(), {"conv2d": {}, "batch_normalization": {}}
  taken.options = dict(OPTIONS)
  for name, array in arrays.items():
    what = next((said for pattern, said in _UNUSED if re.fullmatch(pattern, name)), None)
    match = _LAYER.fullmatch(name)
    if what:
      taken.unused[name] = what
    elif match and match[3] in LEAVES:
      kind = match[1].removeprefix("sync_")
      layers[kind].setdefault(int(match[2] or 0), {})[match[3]] = (name, array)
  kernels = [layers["conv2d"][number].get("kernel") for number in sorted(layers["conv2d"])]
  places = _places([array.shape for _, array in filter(None, kernels)])
  for kind, names in zip(("conv2d", "batch_normalization"), places, strict=True):
    numbers = sorted(layers[kind])
    if len(numbers) != len(names):
      raise errors.UserError(f"{len(numbers)} layers {kind}, where {len(names)} belong")
    for number, place in zip(numbers, names, strict=True):
      for leaf, (name, array) in layers[kind][number].items():
        tree, last = LEAVES[leaf]
        taken.add(name, {f"{tree}.{place}.{last}": array})
  return taken


def _places(shapes: list[tuple[int, ...]]) -> tuple[list[str], list[str]]:
  """Returns our names of the convolutions and of the batch norms, in the order of their making.

  Args:
    shapes: of the kernels in that order.

  Raises:
    UserError: no network of SimCLR's has such kernels.
  """
  sides = [shape[0] for shape in shapes if len(shape) == 4]
  for name in resnet.__all__:
    sizes, block = getattr(resnet, name).args[:2]
    for selective in (False, True):
      for deep_stem in (False, selective):
        found = _walk(sizes, block is resnet.BottleneckBlock, selective, deep_stem)
        if [side or sides[0] for _, side in found[0]] == sides:
          return [place for place, _ in found[0]], found[1]
  raise errors.UserError(
    f"it has {len(sides)} convolutions of sides {sides[:8]}..., as no ResNet here has them"
  )


def _walk(
  sizes: tuple[int, ...], bottleneck: bool, selective: bool, deep_stem: bool
) -> tuple[list[tuple[str, int]], list[str]]:
  """Returns (our name, side) of the convolutions and our names of the norms; side 0: any."""
  convs = [("stem_conv", 3 if deep_stem else 0)]
  norms = ["stem_norm"]
  if deep_stem:
    convs = [("stem_conv1", 3), ("stem_conv2", 3), *convs]
    norms = ["stem_norm1", "stem_norm2", *norms]
  for stage, size in enumerate(sizes, 1):
    for unit in range(1, size + 1):
      block = f"block{stage}_{unit}"
      if unit == 1:
        convs.append((f"{block}.conv_skip", 1))
        norms.append(f"{block}.norm_skip")
      if not bottleneck:
        inner = [("conv1", 3), ("conv2", 3)]
        inner_norms = ["norm1", "norm2"]
      elif selective:
        inner = [("conv1", 1), ("sk.conv", 3), ("sk.squeeze", 1), ("sk.select", 1), ("conv3", 1)]
        inner_norms = ["norm1", "sk.norm", "sk.norm_squeeze", "norm3"]
      else:
        inner = [("conv1", 1), ("conv2", 3), ("conv3", 1)]
        inner_norms = ["norm1", "norm2", "norm3"]
      convs += [(f"{block}.{layer}", side) for layer, side in inner]
      norms += [f"{block}.{layer}" for layer in inner_norms]
  return convs, norms
