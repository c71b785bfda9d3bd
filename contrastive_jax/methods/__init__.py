"""Methods of learning: one file each, found by its name. Adding one is adding a file.

Imports: augment, catalogue, errors, losses, models, options, parallel.
"""

import importlib

from contrastive_jax import catalogue
from contrastive_jax.methods.base import Aux, Method, Task, apply_head, forward

__all__ = ["Aux", "Method", "Task", "apply_head", "forward", "get", "names"]


names = catalogue.methods


def get(name: str) -> type[Method]:
  """Returns the `Method` dataclass of the module `methods.<name>`.

  Raises:
    UserError: there is no such module.
  """
  catalogue.method(name)
  return importlib.import_module(f"{__name__}.{name}").Method
