"""What a config can name, and the options of each: methods, backbones, recipes, data sources.

Everything here is found by file name and read from the source, so that nothing of it is imported.
"""

from contrastive_jax import declared, errors


def methods() -> tuple[str, ...]:
  """Returns the names of all methods."""
  return tuple(name for name in declared.modules("methods") if name != "base")


def method(name: str) -> type:
  """Returns the hyper-parameters of a method. Raises UserError: there is no such method."""
  if name not in methods():
    raise errors.UserError(f'method "{name}" is unknown; use one of {", ".join(methods())}')
  return declared.options(f"methods.{name}", "Method")


def models() -> tuple[str, ...]:
  """Returns the names of all backbones."""
  return tuple(name for family in _families() for name in _backbones(family))


def model(name: str) -> type:
  """Returns the options of a backbone. Raises UserError: there is no such backbone."""
  family = family_of(name)
  return declared.options(f"models.{family}", _families()[family])


def family_of(name: str) -> str:
  """Returns the module in `models` that has a backbone. Raises UserError: none has."""
  for family in _families():
    if name in _backbones(family):
      return family
  raise errors.UserError(f"model {name!r} is unknown; use one of {', '.join(models())}")


def _families() -> dict[str, str]:
  return declared.constant("models", "FAMILIES")


def _backbones(family: str) -> list[str]:
  return declared.constant(f"models.{family}", "__all__")


def recipes() -> tuple[str, ...]:
  """Returns the names of all recipes of views."""
  return declared.constant("augment.recipes", "NAMES")


def augmentation() -> type:
  """Returns what changes a recipe of views."""
  return declared.options("augment.options", "Options")


def optimizer() -> type:
  """Returns the options of the optimiser and of its learning rate."""
  return declared.options("optim.options", "Options")


def sources() -> tuple[str, ...]:
  """Returns the names of all data sources: the modules in `data` that define `Options`."""
  return tuple(name for name in declared.modules("data") if declared.has(f"data.{name}", "Options"))


def orders() -> tuple[str, ...]:
  """Returns the names of all orders of an epoch."""
  return declared.constant("data.order", "NAMES")


def order_before() -> str:
  """Returns the order of runs whose config does not name one."""
  return declared.constant("data.order", "BEFORE")


def layout_before() -> str:
  """Returns how runs whose config does not say read folders."""
  return declared.constant("data.folder", "LAYOUTS")[-1]


def source(name: str) -> type:
  """Returns the options of a data source. Raises UserError: there is no such source."""
  if name not in sources():
    raise errors.UserError(f'data source "{name}" is unknown; use one of {", ".join(sources())}')
  return declared.options(f"data.{name}", "Options")
