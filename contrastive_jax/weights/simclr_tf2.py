"""SimCLR v1 and v2 as their TensorFlow 2 code (google-research/simclr, tf2/) names them.

A checkpoint names each weight by the attributes that lead to it: no number counts anything but the
place in a list. Under the names of variables, which a SavedModel keeps beside its numbers, layers
are numbered as in TensorFlow 1 (`simclr`).
"""

import re

import numpy as np

from contrastive_jax import errors
from contrastive_jax.weights import simclr
from contrastive_jax.weights.taken import Taken

_ROOT = r"(?:model/)?resnet_model/"
_WEIGHT = re.compile(rf"{_ROOT}(.*)/(\w+)/\.ATTRIBUTES/VARIABLE_VALUE")
_BLOCK = re.compile(r"block_groups/(\d+)/layers/(\d+)/(.*)")
_SHORTCUT = re.compile(r"(?:projection|shortcut)_layers/\d/(conv2d|bn)")  # beside what pools
_STEM = "initial_conv_relu_max_pool"
_STEMS = (  # of one convolution, with the max-pool or without, and of three
  {"0/conv2d": "stem_conv", "2/bn": "stem_norm"},
  {
    **{"0/conv2d": "stem_conv1", "1/bn": "stem_norm1", "2/conv2d": "stem_conv2"},
    **{"3/bn": "stem_norm2", "4/conv2d": "stem_conv", "6/bn": "stem_norm"},
  },
)
_BASIC = {f"conv2d_bn_layers/{i}": name for i, name in
          enumerate(("conv1", "norm1", "conv2", "norm2"))}  # fmt: skip
_BOTTLENECK = {
  f"conv_relu_dropblock_layers/{place}": name
  for place, name in {
    **{"0/conv2d": "conv1", "1/bn": "norm1"},
    **{"3/conv2d": "conv2", "4/bn": "norm2", "6/conv2d": "conv3", "7/bn": "norm3"},
    **{"3/conv2d_fixed_padding/conv2d": "sk.conv", "3/batch_norm_relu/bn": "sk.norm"},
    **{"3/conv2d_0": "sk.squeeze", "3/batch_norm_relu_1/bn": "sk.norm_squeeze"},
    **{"3/conv2d_1": "sk.select", "5/conv2d": "conv3", "6/bn": "norm3"},
  }.items()
}
_UNUSED = (
  (r".*/\.OPTIMIZER_SLOT/.*|optimizer/.*", "of the optimiser"),
  (r"(?:model/)?(?:_projection_head|supervised_head)/.*", "the heads"),
  (r"(?:global_step|save_counter)/.*|_CHECKPOINTABLE_OBJECT_GRAPH", "of its training"),
)


def ours(arrays: dict[str, np.ndarray]) -> Taken:
  """Returns our arrays of the network in a checkpoint; heads and the optimiser's are named."""
  taken = Taken(options=dict(simclr.OPTIONS))
  deep = any(re.match(f"{_ROOT}{_STEM}/4/conv2d/", name) for name in arrays)
  for name, array in arrays.items():
    what = next((said for pattern, said in _UNUSED if re.fullmatch(pattern, name)), None)
    match = _WEIGHT.fullmatch(name)
    if what:
      taken.unused[name] = what
    elif match and (place := _place(match[1], deep)) and match[2] in simclr.LEAVES:
      tree, last = simclr.LEAVES[match[2]]
      taken.add(name, {f"{tree}.{place}.{last}": array})
  return taken


def _place(path: str, deep_stem: bool) -> str | None:
  """Returns our name of the layer at a path of attributes; None: there is no such layer here."""
  if path.startswith(f"{_STEM}/"):
    return _STEMS[deep_stem].get(path.removeprefix(f"{_STEM}/"))
  block = _BLOCK.fullmatch(path)
  if not block:
    return None
  shortcut = _SHORTCUT.fullmatch(block[3])
  if shortcut:
    layer = "conv_skip" if shortcut[1] == "conv2d" else "norm_skip"
  else:
    layer = _BOTTLENECK.get(block[3]) or _BASIC.get(block[3].rpartition("/")[0])
  return layer and f"block{int(block[1]) + 1}_{int(block[2]) + 1}.{layer}"


def refuse(arrays: dict[str, np.ndarray]) -> Taken:
  """Raises `UserError`: the numbers in the file of a SavedModel say nothing of what they are of."""
  number = min(name for name in arrays if name.startswith("trainable_variables_list/"))
  raise errors.UserError(
    f"a SavedModel numbers its weights ({number}) and does not say what they are of; load it with "
    "TensorFlow, which knows their names, and save them by these (docs: weights)"
  )
