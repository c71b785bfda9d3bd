"""Backbones, heads and the network that joins them (Flax Linen).

Imports: catalogue, errors, options, parallel.
"""

import functools
import importlib
import inspect

from flax import linen as nn

from contrastive_jax import catalogue, errors

FAMILIES = {"resnet": "ResNet", "vit": "ViT"}  # a module, whose `__all__` names backbones: a class


def backbone(name: str = "resnet18", **options) -> nn.Module:
  """Builds a backbone by name, e.g. `backbone("resnet50", width=2, dtype="bfloat16")`.

  The module maps x [N, H, W, 3] and `train` to a dict of endpoints: "stem", "block1".. [N, h, w, c]
  and "h" [N, F] in float32.

  Raises:
    UserError: the name, an option or an option's value is unknown.
  """
  module = importlib.import_module(f"{__name__}.{catalogue.family_of(name)}")
  partial: functools.partial = getattr(module, name)
  known = [p for p in inspect.signature(partial).parameters if p not in ("parent", "name")]
  unknown = sorted(set(options) - set(known))
  if unknown:
    documented = catalogue.model(name).__dataclass_fields__
    raise errors.UserError(
      f"model option {', '.join(unknown)} is unknown to {name}; use one of "
      # Its own first, then those that it inherits.
      + ", ".join(sorted(documented, key=lambda o: o not in partial.func.__annotations__))
    )
  return partial(**options)
