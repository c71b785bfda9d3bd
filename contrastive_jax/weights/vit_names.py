"""Vision transformers under timm's names, which DINO and MoCo v3 share, and under ours.

timm keeps query, key and value as one matrix, [3C, C]; here they are three layers. Its table of
positions is a parameter also where it is fixed.
"""

import math
import re

import numpy as np

from contrastive_jax import errors
from contrastive_jax.models import vit

_LAYERS = {
  "norm1": "norm1", "norm2": "norm2", "attn.proj": "out", "mlp.fc1": "mlp1", "mlp.fc2": "mlp2"
}  # fmt: skip
_PARTS = ("query", "key", "value")
POSITIONS = "params.positions"


def ours(name: str, array: np.ndarray) -> dict[str, np.ndarray]:
  """Returns our arrays that one of timm's holds; {} if it is not of the network."""
  if name == "cls_token":
    return {"params.class_token": array.reshape(-1)}
  if name == "pos_embed" and array.ndim > 1 and math.prod(array.shape[:-2]) == 1:
    return {POSITIONS: array.reshape(array.shape[-2:])}
  if name == "patch_embed.proj.weight" and array.ndim == 4:
    rows = array.transpose(2, 3, 1, 0)
    return {"params.patch.kernel": rows.reshape(-1, rows.shape[-1])}
  if name == "patch_embed.proj.bias":
    return {"params.patch.bias": array}
  if match := re.fullmatch(r"norm\.(weight|bias)", name):
    return {f"params.norm.{_leaf('norm', match[1])}": array}
  match = re.fullmatch(r"blocks\.(\d+)\.(.+)\.(weight|bias)", name)
  if not match:
    return {}
  place, layer, last = f"params.block{int(match[1]) + 1}", match[2], match[3]
  if layer == "attn.qkv" and array.ndim and len(array) % 3 == 0:
    leaf = _leaf(layer, last)
    parts = zip(_PARTS, np.split(array, 3), strict=True)
    return {f"{place}.{part}.{leaf}": value.T for part, value in parts}
  if layer in _LAYERS:
    return {f"{place}.{_LAYERS[layer]}.{_leaf(layer, last)}": array.T}
  return {}


def _leaf(layer: str, last: str) -> str:
  """Returns our name of a layer's weight or bias."""
  if last == "bias":
    return "bias"
  return "scale" if layer.startswith("norm") else "kernel"


def export(arrays: dict[str, np.ndarray], image_px: int) -> dict[str, np.ndarray]:
  """Returns our arrays as timm's state for square images of `image_px`; no classifier."""
  arrays = dict(arrays)
  kernel = arrays.pop("params.patch.kernel")
  width, patch_px = kernel.shape[1], math.isqrt(kernel.shape[0] // 3)
  side = image_px // patch_px
  table = arrays.pop(POSITIONS, None)
  if table is None:
    table = fixed(side, width)
  table = resized(table, 1 + side * side)
  square = kernel.reshape(patch_px, patch_px, 3, width)
  found = {
    "cls_token": arrays.pop("params.class_token").reshape(1, 1, width),
    "pos_embed": table[None],
    "patch_embed.proj.weight": square.transpose(3, 2, 0, 1),
    "patch_embed.proj.bias": arrays.pop("params.patch.bias"),
  }
  back, joined = {ours: theirs for theirs, ours in _LAYERS.items()}, {}
  for name, array in arrays.items():
    *place, layer, leaf = name.split(".")[1:]
    last = "bias" if leaf == "bias" else "weight"
    if not place:
      found[f"norm.{last}"] = array
      continue
    block = f"blocks.{int(place[0].removeprefix('block')) - 1}"
    if layer in _PARTS:
      joined.setdefault(f"{block}.attn.qkv.{last}", {})[layer] = array.T
    else:
      found[f"{block}.{back[layer]}.{last}"] = array.T
  found |= {name: np.concatenate([p[part] for part in _PARTS]) for name, p in joined.items()}
  return {name: np.ascontiguousarray(array) for name, array in found.items()}


def fixed(side: int, width: int) -> np.ndarray:
  """Returns the table [1 + side^2, C] of fixed positions; that of the class token is 0."""
  grid = np.asarray(vit.sincos_positions(side, side, width)).reshape(-1, width)
  return np.concatenate([np.zeros((1, width), np.float32), grid]).astype(np.float32)


def resized(table: np.ndarray, count: int) -> np.ndarray:
  """Returns a table of positions for `count` - 1 patches, as the network itself resizes it."""
  sides = [math.isqrt(n - 1) for n in (len(table), count)]
  if [side * side + 1 for side in sides] != [len(table), count]:
    raise errors.UserError(f"{len(table)} positions cannot be resized to {count}: no squares")
  grid = vit.resized(table[1:].reshape(sides[0], sides[0], -1), sides[1], sides[1])
  return np.concatenate([table[:1], np.asarray(grid).reshape(count - 1, -1)]).astype(np.float32)


def without_fixed_positions(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Returns the arrays without a table of positions that is the fixed one, as MoCo v3 keeps it."""
  table = arrays.get(POSITIONS)
  if table is None or table.ndim != 2 or not len(table):
    return arrays
  side = math.isqrt(len(table) - 1)
  if side * side != len(table) - 1:
    raise errors.UserError(
      f"the file has {len(table)} positions, which are no square of patches and a class token: "
      "distillation tokens and registers are not read"
    )
  if table.shape[1] % 4 == 0 and np.allclose(table, fixed(side, table.shape[1]), atol=1e-5):
    return {name: array for name, array in arrays.items() if name != POSITIONS}
  return arrays
