"""The blocks of a backbone: recomputed in the backward pass, and whole only while they are used.

Weights that are stored in parts (`fsdp`) would all be whole at once if a step gathered them at its
head, and stay so until their gradients are known. A block gathers its own inside, and its backward
pass gathers them again (Rajbhandari et al., "ZeRO", SC 2020, section 7.2.2).
"""

import jax
from flax import linen as nn

from contrastive_jax import parallel

_PREFIX = "block"
_STORED = ("dot_general", "conv_general_dilated", "reduce_sum")  # of what a block computes


def of(
  block: type[nn.Module],
  backbone: nn.Module,
  *,
  remat: bool,
  static_argnums: tuple[int, ...] = (),
) -> type[nn.Module]:
  """Returns the class to make a backbone's blocks of, named by `name`.

  Args:
    block: what a block computes.
    backbone: the module that is being called, with its parameters.
    remat: whether blocks store their inputs alone and are recomputed.
    static_argnums: of the block's `__call__`, as in `nn.remat`.
  """
  if any(parallel.in_parts(x) for x in jax.tree.leaves(backbone.variables.get("params", {}))):
    gathering = nn.map_variables(block, "params", parallel.whole)
    return nn.remat(gathering, policy=None if remat else _stores, static_argnums=static_argnums)
  return nn.remat(block, static_argnums=static_argnums) if remat else block


def name(number: int | str) -> str:
  """Returns the name of a block's parameters."""
  return f"{_PREFIX}{number}"


def gathers(path: tuple[str, ...]) -> bool:
  """Returns whether a block gathers the parameter of this path, of a network or a copy of it."""
  places = [i for i, name in enumerate(path) if name == "backbone"]
  return any(path[i + 1].startswith(_PREFIX) for i in places if i + 1 < len(path))


def _stores(primitive, *_, **__) -> bool:
  """Says what a block that is not recomputed keeps: neither whole weights nor what they become.

  Norms and activations are computed again, which costs little beside products.
  """
  return primitive.name in _STORED
