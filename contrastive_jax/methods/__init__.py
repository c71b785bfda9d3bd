"""Methods of learning: one file each, found by its name. Adding one is adding a file."""

import importlib
import pkgutil

from contrastive_jax import errors
from contrastive_jax.methods.base import Aux, Method, Task, apply_head, forward

__all__ = ["Aux", "Method", "Task", "apply_head", "forward", "get", "names"]


def names() -> tuple[str, ...]:
  """Returns the names that `get` knows."""
  return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name != "base"))


def get(name: str) -> type[Method]:
  """Returns the `Method` dataclass of the module `methods.<name>`.

  Raises:
    UserError: there is no such module.
  """
  if name not in names():
    raise errors.UserError(f'method "{name}" is unknown; use one of {", ".join(names())}')
  return importlib.import_module(f"{__name__}.{name}").Method
