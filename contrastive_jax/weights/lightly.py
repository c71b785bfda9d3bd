"""Backbones of lightly: children of a module, known by their numbers, or a ResNet of its own.

`nn.Sequential(*children)` of torchvision's ResNet counts conv1 0, bn1 1, ReLU 2, max-pool 3 and the
stages 4 to 7. lightly's own `ResNetGenerator` has a 3x3 stem, no max-pool, and calls a projection
`shortcut`; its ReLU after the stem is no child, so that a backbone of its children, as lightly's
CIFAR-10 benchmark makes it, has none: all arrays fit a ResNet, and the features are others.
"""

import re

import numpy as np

from contrastive_jax.weights import resnet_names, vit_names
from contrastive_jax.weights.taken import Taken

_OF_TORCHVISION = {"0": "conv1", "1": "bn1", **{str(3 + n): f"layer{n}" for n in range(1, 5)}}
_OF_GENERATOR = {"0": "conv1", "1": "bn1", **{str(1 + n): f"layer{n}" for n in range(1, 5)}}


def ours(arrays: dict[str, np.ndarray]) -> Taken:
  """Returns our arrays, and whether the stem has its ReLU."""
  is_cut = any(re.match(r"\d+\.", name) for name in arrays)
  own = any(".shortcut." in name for name in arrays) or any(n.startswith("2.0.") for n in arrays)
  children = _OF_GENERATOR if own else _OF_TORCHVISION
  taken = Taken()
  if own:
    taken.options = {"stem": "cifar", "stem_relu": not is_cut}
  for name, array in arrays.items():
    first, _, rest = name.partition(".")
    known = f"{children.get(first, first)}.{rest}" if is_cut else name
    known = re.sub(r"(layer\d\.\d+)\.shortcut\.", r"\1.downsample.", known)
    ours = resnet_names.ours(known)
    if known.endswith(resnet_names.COUNTED):
      taken.unused[name] = "counts of steps"
    elif re.match(r"(fc|linear|head)\.", known):
      taken.unused[name] = "the classifier"
    elif ours:
      taken.add(name, {ours: resnet_names.from_torch(array)})
    else:
      taken.add(name, vit_names.ours(name, array))
  return taken
