"""BYOL's released checkpoints: Haiku's names, joined by "/", in .npz or .safetensors.

`contrastive_jax convert` writes them so from the pickle: PART/MODULE/PARAMETER, where the part is
e.g. experiment_state/online_params. The online network is taken where there is a target, too.
"""

import re

import numpy as np

from contrastive_jax.weights.taken import Taken

_MODULE = re.compile(
  r"(?P<part>.*?)(?P<net>res_net\d+)/~/(?:block_group_(?P<stage>\d)/~/block_(?P<unit>\d+)/~/)?"
  r"(?P<layer>(?:initial|shortcut)_(?:conv|batchnorm)|(?:conv|batchnorm)_\d)"
  r"(?P<average>/~/(?:mean|var)_ema)?/(?P<leaf>\w+)"
)
_LEAVES = {"w": ("params", "kernel"), "scale": ("params", "scale"), "offset": ("params", "bias")}
_AVERAGES = {"/~/mean_ema": "mean", "/~/var_ema": "var"}


def ours(arrays: dict[str, np.ndarray]) -> Taken:
  """Returns our arrays of the online network."""
  taken = Taken(options={"padding": "same", "bn_eps": 1e-5})
  for name, array in arrays.items():
    match = _MODULE.fullmatch(name)
    if (
      not match or "target" in match["part"] or "optim" in match["part"] or "opt_" in match["part"]
    ):
      taken.unused[name] = "heads, the target network, the optimiser"
    elif match["average"]:
      if match["leaf"] == "average":
        place = f"{_place(match)}.{_AVERAGES[match['average']]}"
        taken.add(name, {f"stats.{place}": array.reshape(-1)})
      else:
        taken.unused[name] = "counts of steps, and averages before they are corrected"
    elif match["leaf"] in _LEAVES:
      tree, leaf = _LEAVES[match["leaf"]]
      flat = array if leaf == "kernel" else array.reshape(-1)
      taken.add(name, {f"{tree}.{_place(match)}.{leaf}": flat})
  return taken


def _place(match: re.Match) -> str:
  """Returns our name of a layer."""
  layer = match["layer"]
  kind = "norm" if "batchnorm" in layer else "conv"
  if layer.startswith("initial"):
    return f"stem_{kind}"
  number = "_skip" if layer.startswith("shortcut") else str(int(layer.rpartition("_")[2]) + 1)
  return f"block{int(match['stage']) + 1}_{int(match['unit']) + 1}.{kind}{number}"
