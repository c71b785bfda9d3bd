"""Backbones, heads and the network that joins them (Flax Linen)."""

import dataclasses
import functools
import inspect

from flax import linen as nn

from contrastive_jax import errors
from contrastive_jax.models import resnet, vit
from contrastive_jax.options import option

FAMILIES = (resnet, vit)  # modules whose `__all__` names constructors


def names() -> tuple[str, ...]:
  """The backbones that `backbone` knows."""
  return tuple(name for family in FAMILIES for name in family.__all__)


def backbone(name: str = "resnet18", **options) -> nn.Module:
  """Builds a backbone by name, e.g. `backbone("resnet50", width=2, dtype="bfloat16")`.

  The module maps x [N, H, W, 3] and `train` to a dict of endpoints: "stem", "block1".. [N, h, w, c]
  and "h" [N, F] in float32.

  Raises:
    UserError: the name, an option or an option's value is unknown.
  """
  partial = _partial(name)
  known = [p for p in inspect.signature(partial).parameters if p not in ("parent", "name")]
  unknown = sorted(set(options) - set(known))
  if unknown:
    documented = [f.name for f in dataclasses.fields(partial.func) if "doc" in f.metadata]
    raise errors.UserError(
      f"model option {', '.join(unknown)} is unknown to {name}; use one of {', '.join(documented)}"
    )
  return partial(**options)


@functools.cache
def constructor(name: str) -> type:
  """The options of a backbone that a configuration sets, as a frozen dataclass with defaults.

  They are the documented fields of its module, so `backbone(name, **vars(constructor(name)()))` is
  `backbone(name)`.
  """
  fields = [f for f in dataclasses.fields(_partial(name).func) if "doc" in f.metadata]
  copies = [(f.name, f.type, option(f.default, f.metadata["doc"])) for f in fields]
  return dataclasses.make_dataclass(name, copies, frozen=True)


def _partial(name: str) -> functools.partial:
  families = [family for family in FAMILIES if name in family.__all__]
  if not families:
    raise errors.UserError(f"model {name!r} is unknown; use one of {', '.join(names())}")
  return getattr(families[0], name)
