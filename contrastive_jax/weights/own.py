"""Our own names, as in checkpoints: "params.backbone.LAYER.LEAF" and "stats.backbone.LAYER.LEAF".

A file that was exported says in its metadata what no array shows: the options of the network, and
how images are prepared for it. So do those with torchvision's and timm's names that come from here.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from contrastive_jax import errors
from contrastive_jax.weights.taken import Taken

KEY = "contrastive_jax"  # of the metadata
_PREFIX = "backbone."
_NUMBER = (int, float)
_KINDS = {  # of what is read; whatever else an export says is passed over
  "model": dict.fromkeys(("name", "stem", "padding", "positions"), (str,))
  | dict.fromkeys(("width", "sk_ratio", "bn_eps", "ln_eps"), _NUMBER)
  | {"stem_relu": (bool,), "patch_px": (int,)},
  "preparation": {"recipe": (str,), "size_px": (int,), "antialias": (bool,)}
  | {"normalize": (str, type(None)), "mean": (list,), "std": (list,)},
}
_ABOVE_0 = ("patch_px", "size_px", "width")


def ours(arrays: dict[str, np.ndarray]) -> Taken:
  """Returns the arrays of the backbone; heads are named, not read."""
  taken = Taken()
  for name, array in arrays.items():
    tree, _, rest = name.partition(".")
    if tree in ("params", "stats") and rest.startswith(_PREFIX):
      taken.add(name, {f"{tree}.{rest.removeprefix(_PREFIX)}": array})
    else:
      taken.unused[name] = "heads"
  return taken


def named(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Returns the arrays of a backbone under the names that they have in a file."""
  return {name.replace(".", f".{_PREFIX}", 1): array for name, array in arrays.items()}


def metadata(facts: Mapping[str, Any]) -> dict[str, str]:
  """Returns the metadata of an exported file; "format" is what transformers asks for."""
  return {"format": "pt", KEY: json.dumps(facts, sort_keys=True)}


def facts(metadata: Mapping[str, str], file: str) -> dict[str, Any]:
  """Returns what `metadata` was made of, {} for a file of others.

  Raises:
    UserError: what is there is not what an export writes.
  """
  if KEY not in metadata:
    return {}
  try:
    found = json.loads(metadata[KEY])
    for part, kinds in _KINDS.items():
      _check(part, found[part], kinds)
    if not found["model"].get("name"):
      raise ValueError("model.name is missing")
    if found["preparation"]["normalize"] is None and not found["preparation"].get("mean"):
      raise ValueError("neither preparation.normalize nor mean")
    return found
  except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
    raise errors.UserError(
      f"{file} has metadata of an export that cannot be read ({type(error).__name__}: {error}); "
      "export again"
    ) from error


def _check(part: str, found: Any, kinds: Mapping[str, tuple[type, ...]]) -> None:
  """Raises ValueError unless the values that are read are of their kinds, and in their range."""
  if not isinstance(found, dict):
    raise ValueError(f"{part} is no table")
  for key in kinds.keys() & found.keys():
    value = found[key]
    if type(value) not in kinds[key]:
      raise ValueError(f"{part}.{key} is of type {type(value).__name__}")
    numbers = value if isinstance(value, list) else [value] if type(value) in _NUMBER else []
    if not all(type(n) in _NUMBER and math.isfinite(n) for n in numbers):
      raise ValueError(f"{part}.{key} is not of finite numbers")
    if key in _ABOVE_0 and value <= 0:
      raise ValueError(f"{part}.{key} is not above 0")
