"""Who may import whom: rooms (folders and lone modules) stand on floors, and none looks up."""

import ast
import re

import pytest
from conftest import REPOSITORY

HOME = REPOSITORY / "contrastive_jax"
# From the ground up. A room imports from lower floors and from nowhere else.
FLOORS = (
  (
    *("checkpoint_names", "compiling", "errors", "hiding", "keys", "locking", "numpy_pickle"),
    *("orphan", "plural", "slow"),
  ),
  ("config_files", "export_names", "limits", "options", "parallel", "paths", "places", "reading"),
  ("augment", "buckets", "declared", "losses", "metric_lines", "optim", "processes"),
  ("catalogue", "launch", "sections"),
  ("config", "data", "models", "unread"),
  ("methods", "run_images", "stored"),
  ("step",),
  ("build", "workdir"),
  ("plan", "weights"),
  ("evaluation",),
  ("embedding", "study", "training"),
  ("report",),
  ("face",),
  ("__init__",),
  ("cli",),
  ("__main__",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted(p for p in HOME.rglob("*.py") if "configs" not in p.parts)
PACKAGES = sorted(p.parent for p in MODULES if p.name == "__init__.py" and p.parent != HOME)


def room(path):
  parts = path.relative_to(HOME).parts
  return parts[0].removesuffix(".py")


def imported(path):
  """The rooms that a module imports, also where it does so inside a function."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.ImportFrom) and node.module:
      names = [f"{node.module}.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.Import):
      names = [alias.name for alias in node.names]
    else:
      continue
    for name in names:
      package, *rest = name.split(".")
      if package == "contrastive_jax":
        found.add(rest[0] if rest else "__init__")
  return found - {room(path)}


def test_every_room_has_its_floor():
  assert sorted(FLOOR) == sorted({room(path) for path in MODULES})


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(HOME)))
def test_a_module_imports_from_lower_floors_alone(path):
  own = FLOOR[room(path)]
  above = {name for name in imported(path) if FLOOR[name] >= own}
  assert not above, f"{room(path)} stands on floor {own} and may not import {above}"


def test_no_room_stands_higher_than_it_must():
  needed = {
    name: 1 + max((FLOOR[i] for p in MODULES if room(p) == name for i in imported(p)), default=-1)
    for name in FLOOR
  }
  assert needed == FLOOR


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_a_package_says_what_it_imports(package):
  doc = ast.get_docstring(ast.parse((package / "__init__.py").read_text()))
  (said,) = re.findall(r"Imports: ([\w, ]+)\.$", " ".join(doc.split()))
  assert said.split(", ") == sorted({i for p in package.rglob("*.py") for i in imported(p)})
