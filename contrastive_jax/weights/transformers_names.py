"""Vision transformers under the names of Hugging Face's `ViTModel`, and under timm's.

A file that `save_pretrained` wrote says encoder.layer.0.attention.attention.query; a state of the
network in memory, since transformers 5, layers.0.attention.q_proj.
"""

import re

import numpy as np

from contrastive_jax.weights import vit_names
from contrastive_jax.weights.taken import Taken

OPTIONS = {"ln_eps": 1e-12}  # of ViTConfig, where timm's is 1e-6
_OUTER = {
  "embeddings.cls_token": "cls_token",
  "embeddings.position_embeddings": "pos_embed",
  "embeddings.patch_embeddings.projection": "patch_embed.proj",
  "layernorm": "norm",
}
_LAYERS = {
  "attention.output.dense": "attn.proj", "attention.o_proj": "attn.proj",
  "intermediate.dense": "mlp.fc1", "mlp.fc1": "mlp.fc1",
  "output.dense": "mlp.fc2", "mlp.fc2": "mlp.fc2",
  "layernorm_before": "norm1", "layernorm_after": "norm2",
}  # fmt: skip
_BLOCK = re.compile(r"(?:encoder\.layer|layers)\.(\d+)\.(.+)\.(weight|bias)")
_PART = re.compile(r"attention\.(?:attention\.(query|key|value)|([qkv])_proj)")
_PARTS = {"q": "query", "k": "key", "v": "value"}


def ours(arrays: dict[str, np.ndarray]) -> Taken:
  """Returns our arrays of the network; see `layouts.Layout.whole`."""
  taken = Taken()
  for name, array in arrays.items():
    taken.add(name, _ours(name, array))
  return taken


def _ours(name: str, array: np.ndarray) -> dict[str, np.ndarray]:
  outer, _, last = name.rpartition(".")
  if name in _OUTER:
    return vit_names.ours(_OUTER[name], array)
  if outer in _OUTER:
    return vit_names.ours(f"{_OUTER[outer]}.{last}", array)
  match = _BLOCK.fullmatch(name)
  if not match:
    return {}
  number, layer, last = match.groups()
  if part := _PART.fullmatch(layer):
    leaf = "kernel" if last == "weight" else "bias"
    place = f"params.block{int(number) + 1}.{part[1] or _PARTS[part[2]]}"
    return {f"{place}.{leaf}": array.T}
  if layer in _LAYERS:
    return vit_names.ours(f"blocks.{number}.{_LAYERS[layer]}.{last}", array)
  return {}
