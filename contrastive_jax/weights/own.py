"""Our own names, as in checkpoints: "params.backbone.LAYER.LEAF" and "stats.backbone.LAYER.LEAF".

A file that was exported says in its metadata what no array shows: the options of the network, and
how images are prepared for it. So do those with torchvision's and timm's names that come from here.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from contrastive_jax import errors
from contrastive_jax.weights.taken import Taken

KEY = "contrastive_jax"  # of the metadata
_PREFIX = "backbone."


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
    if not isinstance(found["model"], dict) or not isinstance(found["model"]["name"], str):
      raise TypeError("no model")
    return found
  except (ValueError, KeyError, TypeError, RecursionError) as error:
    raise errors.UserError(
      f"{file} has metadata of an export that cannot be read ({type(error).__name__}); export again"
    ) from error
