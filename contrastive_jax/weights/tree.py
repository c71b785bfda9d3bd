"""A backbone's weights and statistics as one flat dict, and back."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree


def flat(params: PyTree, stats: PyTree) -> dict[str, Any]:
  """Returns {"params.LAYER.LEAF": ...} and {"stats.LAYER.LEAF": ...} of a backbone's trees."""
  leaves, _ = jax.tree_util.tree_flatten_with_path({"params": params, "stats": stats})
  return {".".join(key.key for key in path): leaf for path, leaf in leaves}


def nested(arrays: Mapping[str, np.ndarray]) -> tuple[PyTree, PyTree]:
  """Returns params and stats; see `flat`."""
  found = {"params": {}, "stats": {}}
  for name, array in arrays.items():
    *path, leaf = name.split(".")
    inner = found
    for part in path:
      inner = inner.setdefault(part, {})
    inner[leaf] = array
  return found["params"], found["stats"]
