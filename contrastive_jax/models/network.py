"""A backbone with named heads: the one module that a method trains.

Every endpoint, from the stem to the hidden layers of the heads, is in the result; what the caller
does not use costs nothing under jit.
"""

import dataclasses

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from contrastive_jax import errors
from contrastive_jax.models import norm


@dataclasses.dataclass(frozen=True)
class Head:
  """A named module on top of an endpoint.

  Attributes:
    name: of its output, e.g. "z"; its hidden activations are "z.1", "z.2", ...; also the name of
      its parameters.
    module: called as `module(x, train)`, returns (output, hidden activations), as heads.MLP does.
    input: the endpoint it reads: "h", a block, or an earlier head, e.g. "z" for a predictor.
    copies: the head reads so many inputs side by side, as heads over several patches do. The
      network itself shows it one input so many times; methods call `methods.apply_head`.
  """

  name: str
  module: nn.Module
  input: str = "h"
  copies: int = 1


class Network(nn.Module):
  """Backbone and heads; parameters under "backbone" and each head's name.

  Attributes:
    micro_batches: in how many parts `methods.forward` shows it a batch in training.
  """

  backbone: nn.Module
  heads: tuple[Head, ...] = ()
  micro_batches: int = 1

  def of_part(self) -> "Network":
    """Returns the network for one micro-batch: with its share of the batch-norm groups."""
    groups = max(1, getattr(self.backbone, "bn_groups", 1) // self.micro_batches)
    return self._with_batch_norm(bn_groups=groups)

  def of_single_views(self) -> "Network":
    """Returns the network for batches of one view an image, with statistics over all of them."""
    return self._with_batch_norm(bn_groups=1, bn_views=1)

  def of_local_views(self, whole_px: int) -> "Network":
    """Returns the network for small views, beside others of `whole_px`; only positions differ."""
    if not hasattr(self.backbone, "whole_px"):
      return self
    return self.clone(backbone=self.backbone.clone(whole_px=whole_px))

  def _with_batch_norm(self, **options: int) -> "Network":
    """Sets options of batch norm in backbone and heads, where they have any; undivided."""

    def changed(module):
      return module.clone(**options) if isinstance(module, norm.Options) else module

    heads = tuple(dataclasses.replace(head, module=changed(head.module)) for head in self.heads)
    return self.clone(backbone=changed(self.backbone), heads=heads, micro_batches=1)

  @nn.compact
  def __call__(self, x: Float[Array, "N H W C"], train: bool) -> dict[str, Array]:
    """Returns all endpoints by name.

    Raises:
      UserError: a head's name is taken, or its input does not exist (yet).
    """
    ends = dict(self.backbone(x, train))
    for head in self.heads:
      if head.name in ends or head.name == "backbone":
        raise errors.UserError(f"head name {head.name!r} is taken; taken are {', '.join(ends)}")
      if head.input not in ends:
        raise errors.UserError(
          f"head {head.name!r} reads {head.input!r}, which does not exist; use one of "
          f"{', '.join(ends)}"
        )
      module = head.module.clone(parent=self, name=head.name)
      joined = jnp.concatenate([ends[head.input]] * head.copies, axis=-1)
      ends[head.name], hidden = module(joined, train)
      ends |= {f"{head.name}.{layer}": value for layer, value in enumerate(hidden, start=1)}
    return ends
