"""Options as they are written: read from a module's source, without running it.

A config and its mistakes concern names, types and defaults alone. Those stand in the dataclasses of
methods, networks, recipes and probes, whose modules import JAX: that takes seconds, and reading a
few files takes milliseconds. What cannot be read this way is imported after all.
"""

import ast
import dataclasses
import functools
import importlib
import pathlib
from typing import Any

from contrastive_jax.options import option

_PACKAGE = __name__.partition(".")[0]
_HOME = pathlib.Path(__file__).parent
# What evaluating an expression raises that needs more than literals and constants of the package.
_NOT_READ = (AttributeError, KeyError, NameError, SyntaxError)


@functools.cache
def options(module: str, name: str) -> type:
  """Returns the documented fields of a class as a frozen dataclass of the same name.

  Args:
    module: below the package, e.g. "methods.simclr".
    name: of a class in it; its fields are `name: type = option(default, "line")`.
  """
  try:
    fields = _fields(_names(module), name)
  except _NOT_READ:
    cls = getattr(importlib.import_module(f"{_PACKAGE}.{module}"), name)
    documented = [f for f in dataclasses.fields(cls) if "doc" in f.metadata]
    fields = {f.name: (f.type, option(f.default, **f.metadata)) for f in documented}
  copies = [(field, kind, value) for field, (kind, value) in fields.items()]
  return dataclasses.make_dataclass(name, copies, frozen=True)


@functools.cache
def constant(module: str, name: str) -> Any:
  """Returns the value of a name that a module assigns, e.g. ("models.resnet", "__all__")."""
  try:
    return _names(module)[name]
  except _NOT_READ:
    return getattr(importlib.import_module(f"{_PACKAGE}.{module}"), name)


@functools.cache
def has(module: str, name: str) -> bool:
  """Returns whether a module defines a class of that name."""
  return name in _names(module).classes


@functools.cache
def modules(package: str) -> tuple[str, ...]:
  """Returns the names of the modules in a folder, in order; none that begins with "_"."""
  return tuple(sorted(p.stem for p in (_HOME / package).glob("[!_]*.py")))


class _Names(dict):
  """The names that a module assigns or imports from the package, each evaluated when asked for."""

  def __init__(self, module: str):
    super().__init__()
    path = _HOME / module.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    self._module, self.classes = module, {}
    self._assigned, self._imported = {}, {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
      if isinstance(node, ast.ClassDef):
        self.classes[node.name] = node
      elif isinstance(node, ast.Assign):
        self._assigned.update((t.id, node.value) for t in node.targets if isinstance(t, ast.Name))
      elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == _PACKAGE:
        source = node.module.partition(".")[2]
        self._imported.update((a.asname or a.name, (source, a.name)) for a in node.names)

  def __missing__(self, name: str) -> Any:
    if name in self._assigned:
      self[name] = self.evaluate(self._assigned[name])
    elif name in self._imported:
      module, (source, original) = self.module(name), self._imported[name]
      self[name] = _Module(module) if module is not None else _names(source)[original]
    else:
      raise KeyError(name)  # then it is looked for among the built-ins
    return self[name]

  def module(self, name: str) -> "_Names | None":
    """Returns the names of a module of the package that this one imports as `name`."""
    source, original = self._imported.get(name, ("", ""))
    inner = f"{source}.{original}".strip(".")
    return _names(inner) if name in self._imported and _is_module(inner) else None

  def evaluate(self, node: ast.expr) -> Any:
    """Returns the value of an expression of this module."""
    try:
      return eval(compile(ast.Expression(node), self._module, "eval"), {"option": option}, self)
    except _NOT_READ:
      if isinstance(node, ast.Dict) and None not in node.keys:
        return {self.evaluate(key): None for key in node.keys}  # whose values are computed
      raise


_names = functools.cache(_Names)  # a file is read once, however many import from it


class _Module:
  """Stands for a module of the package in an expression such as `similarity.OPTION`."""

  def __init__(self, names: _Names):
    self._names = names

  def __getattr__(self, name: str) -> Any:
    return self._names[name]


def _is_module(module: str) -> bool:
  path = _HOME / module.replace(".", "/")
  return path.is_dir() or path.with_suffix(".py").is_file()


def _fields(names: _Names, name: str) -> dict[str, tuple[str, Any]]:
  """Returns {field: (type as written, `option(...)`)} of a class, those of its bases first."""
  if name not in names.classes:
    raise KeyError(name)
  found = {}
  for base in names.classes[name].bases:
    if isinstance(base, ast.Name) and base.id in names.classes:
      found |= _fields(names, base.id)
    elif isinstance(base, ast.Attribute) and isinstance(base.value, ast.Name):
      module = names.module(base.value.id)
      found |= {} if module is None else _fields(module, base.attr)
  for node in names.classes[name].body:
    if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Call):
      if isinstance(node.value.func, ast.Name) and node.value.func.id == "option":
        found[node.target.id] = ast.unparse(node.annotation), names.evaluate(node.value)
  return found
