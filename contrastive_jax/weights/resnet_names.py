"""ResNets under torchvision's names, which timm and most released weights share, and under ours.

Ours are dotted paths below the backbone: "params.block1_1.conv1.kernel", "stats.stem_norm.mean".
"""

import re

import numpy as np

_NORM = {
  "weight": ("params", "scale"),
  "bias": ("params", "bias"),
  "running_mean": ("stats", "mean"),
  "running_var": ("stats", "var"),
}
_TORCH_NORM = {ours: name for name, ours in _NORM.items()}
_NAME = re.compile(
  r"(?:layer(?P<stage>\d)\.(?P<unit>\d+)\.)?(?P<layer>conv\d|bn\d|downsample\.[01])\."
  rf"(?P<leaf>{'|'.join(_NORM)})"
)
COUNTED = "num_batches_tracked"  # of a batch norm: steps, which nothing reads


def ours(name: str) -> str | None:
  """Returns our name of an array that torchvision calls `name`; None if it has none here."""
  match = _NAME.fullmatch(name)
  if not match or not (match["stage"] or match["layer"] in ("conv1", "bn1")):
    return None
  layer, leaf = match["layer"], match["leaf"]
  is_conv = layer.startswith("conv") or layer == "downsample.0"
  if is_conv and leaf != "weight":
    return None
  kind = "conv" if is_conv else "norm"
  tree, last = ("params", "kernel") if is_conv else _NORM[leaf]
  if not match["stage"]:
    return f"{tree}.stem_{kind}.{last}"
  number = "_skip" if layer.startswith("downsample") else layer[-1]
  return f"{tree}.block{match['stage']}_{int(match['unit']) + 1}.{kind}{number}.{last}"


def torchvisions(name: str) -> str:
  """Returns what torchvision calls our array `name`; see `ours`."""
  tree, *layers, leaf = name.split(".")
  match = re.fullmatch(r"block(\d)_(\d+)", layers[0])
  if match:
    place, layer = f"layer{match[1]}.{int(match[2]) - 1}.", layers[1]
    layer = {"conv_skip": "downsample.0", "norm_skip": "downsample.1"}.get(layer, layer)
  else:
    place, layer = "", {"stem_conv": "conv1", "stem_norm": "norm1"}[layers[0]]
  last = "weight" if leaf == "kernel" else _TORCH_NORM[tree, leaf]
  return f"{place}{layer.replace('norm', 'bn')}.{last}"


def from_torch(array: np.ndarray) -> np.ndarray:
  """Returns a kernel O I H W as H W I O, anything else as it is: a view."""
  return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array


def to_torch(array: np.ndarray) -> np.ndarray:
  """Returns a kernel H W I O as O I H W, in order; anything else as it is."""
  return np.ascontiguousarray(array.transpose(3, 2, 0, 1) if array.ndim == 4 else array)


def export(arrays: dict[str, np.ndarray], step: int) -> dict[str, np.ndarray]:
  """Returns our arrays as torchvision's state: every one of its names, and no classifier."""
  found = {}
  for name, array in arrays.items():
    found[torchvisions(name)] = to_torch(array)
    if name.startswith("stats.") and name.endswith(".mean"):
      norm = torchvisions(name).rpartition(".")[0]
      found[f"{norm}.{COUNTED}"] = np.asarray(step, np.int64)
  return found
