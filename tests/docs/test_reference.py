"""The Python reference names what there is: a name that moved fails here, not in a build."""

import importlib
import re

import pytest
from conftest import REPOSITORY

_DIRECTIVE = re.compile(r"^\.\. (currentmodule|auto\w+|py:\w+):: *([\w.]+)", re.MULTILINE)
_MEMBERS = re.compile(r"^ +:members: *([\w, ]*)$")


def named(page):
  """Pairs (module, dotted name in it or "") of the blocks in `eval-rst`, as autodoc reads them."""
  found = []
  for block in re.findall(r"^```{eval-rst}\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
    module = owner = None
    for line in block.splitlines():
      if match := _DIRECTIVE.match(line):
        directive, name = match.groups()
        if directive in ("currentmodule", "automodule"):
          module, owner = name, ""
        else:
          owner = name
        found.append((module, owner))
      elif match := _MEMBERS.match(line):
        found += [(module, f"{owner}.{name.strip()}") for name in match[1].split(",") if name]
  return found


NAMED = named((REPOSITORY / "docs" / "api.md").read_text())


def resolved(module, name):
  """What autodoc takes a name for: a module, or what one holds. Raises where there is nothing."""
  if not name:
    return importlib.import_module(module)
  if name.startswith("contrastive_jax."):
    module, name = "contrastive_jax", name.removeprefix("contrastive_jax.")
    while name.partition(".")[1]:
      first, _, rest = name.partition(".")
      try:
        importlib.import_module(f"{module}.{first}")
      except ModuleNotFoundError:
        break
      module, name = f"{module}.{first}", rest
  found = importlib.import_module(module)
  for part in name.split("."):
    found = getattr(found, part)
  return found


def test_the_page_is_read():
  """A reader that finds nothing would let everything pass."""
  assert len(NAMED) > 80 and len({module for module, _ in NAMED}) > 8
  assert named(
    "```{eval-rst}\n.. currentmodule:: a\n.. autoclass:: B()\n   :members: c, d\n```"
  ) == [
    ("a", ""),
    ("a", "B"),
    ("a", "B.c"),
    ("a", "B.d"),
  ]


@pytest.mark.parametrize("module, name", NAMED)
def test_a_name_of_the_reference_is_there(module, name):
  assert resolved(module, name) is not None


@pytest.mark.parametrize(
  "name", ["features.gone", "contrastive_jax.evaluation.pooling.gone", "Features.gone"]
)
def test_a_name_that_is_gone_is_noticed(name):
  with pytest.raises(AttributeError):
    resolved("contrastive_jax.evaluation.features", name)
