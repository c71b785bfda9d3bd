"""The pages of the methods say what the code has: options and defaults, configs, pictures."""

import dataclasses
import importlib
import itertools
import pathlib
import re
import sys

import pytest

from contrastive_jax import config as config_lib
from contrastive_jax import methods

ROOT = pathlib.Path(__file__).parents[2]
PAGES, PICTURES = ROOT / "docs" / "methods", ROOT / "docs" / "pictures" / "methods"
PARTS = ("# ", "## What it is", "## Picture", "## Loss", "## How we run it")
PARTS += ("## Options that matter", "## Figures", "## When to choose it", "## What goes wrong")
PARTS += ("## Differences from the released code",)
MAX_BYTES = 10_000  # of a picture
_NAMED = re.compile(r"\b(imagenet|cifar10|shapes|eval)/([a-z]\w*)(?::([\w,]*\w))?")


@pytest.fixture(scope="module")
def drawing():
  """The scripts that draw; scripts are no package."""
  folder = str(ROOT / "docs" / "draw")
  sys.path.insert(0, folder)
  try:
    yield importlib.import_module("methods"), importlib.import_module("boxes")
  finally:
    sys.path.remove(folder)
    for name in ("methods", "boxes"):
      sys.modules.pop(name, None)


def page(name):
  return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def part(text, heading):
  return text.split(f"{heading}\n", 1)[1].split("\n## ", 1)[0]


def load(folder, name, argument=None):
  module = importlib.import_module(f"contrastive_jax.configs.{folder}.{name}")
  return module.get_config(*([argument] if argument else []))


def configs():
  """Returns (name, method) of every config of pre-training, arguments in its docstring included."""
  found = []
  for path in sorted(ROOT.glob("configs/*/[!_]*.py")):
    folder, name = path.parent.name, path.stem
    if folder in ("eval", "studies"):
      continue
    module = importlib.import_module(f"contrastive_jax.configs.{folder}.{name}")
    arguments = re.findall(rf"{folder}/{name}(?:\.py)?:([\w,]*\w)", module.__doc__)
    default = load(folder, name).method.name
    found.append((f"{folder}/{name}", default))
    for argument in arguments:
      method = load(folder, name, argument).method.name
      if method != default:
        found.append((f"{folder}/{name}:{argument}", method))
  return found


def test_every_method_has_a_page_and_every_page_a_method():
  assert {path.stem for path in PAGES.glob("*.md")} - {"index"} == set(methods.names())


@pytest.mark.parametrize("name", methods.names())
def test_a_page_has_all_parts_in_order_and_its_picture(name):
  text = page(name)
  headings = re.findall(r"^#{1,2} .*$", re.sub(r"```.*?```", "", text, flags=re.S), flags=re.M)
  assert [heading.startswith(part) for heading, part in zip(headings, PARTS, strict=True)] == (
    [True] * len(PARTS)
  )
  assert f"](../pictures/methods/{name}.svg)" in part(text, "## Picture")
  assert part(text, "## Loss").count("$$") == 2
  assert "**Published.**" in text and "**Measured on" in text and "(../results.md)" in text


def test_every_link_to_another_page_leads_somewhere():
  for path in PAGES.glob("*.md"):
    for target in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
      target = target.split("#")[0]
      assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_index_lists_every_page_once():
  blocks = re.findall(r"```\{toctree\}\n(.*?)```", page("index"), flags=re.S)
  listed = [line for block in blocks for line in block.split() if not line.startswith(":")]
  assert sorted(name for name in listed if name != "1") == sorted(methods.names())


def test_pictures_are_what_the_script_draws_and_small(drawing):
  draws, _ = drawing
  assert set(draws.PICTURES) == {*methods.names(), "legend"}
  assert {path.stem for path in PICTURES.glob("*.svg")} == set(draws.PICTURES)
  for name in draws.PICTURES:
    stored = (PICTURES / f"{name}.svg").read_text(encoding="utf-8")
    assert stored == draws.svg(name), f"python docs/draw/methods.py draws another {name}.svg"
    assert len(stored.encode()) <= MAX_BYTES


def test_no_box_of_a_picture_covers_another(drawing):
  draws, boxes = drawing
  for name, text in draws.PICTURES.items():
    found, _, _ = boxes.parse(text)
    boxes.place(found.values())
    for a, b in itertools.combinations(found.values(), 2):
      apart = abs(a.x - b.x) >= a.half[0] + b.half[0] or abs(a.y - b.y) >= a.half[1] + b.half[1]
      assert apart, f"{name}: {a.label} and {b.label}"


def test_every_config_is_named_on_the_page_of_its_method():
  for config, method in configs():
    named = {
      "/".join(match[:2]) + f":{match[2]}".rstrip(":") for match in _NAMED.findall(page(method))
    }
    assert config in named, f"docs/methods/{method}.md does not name {config}"


@pytest.mark.parametrize("name", [*methods.names(), "index"])
def test_every_config_that_a_page_names_exists(name):
  for folder, config, argument in set(_NAMED.findall(page(name))):
    found = load(folder, config, argument)
    assert ("protocols" in found) == (folder == "eval")


@pytest.mark.parametrize("name", methods.names())
def test_every_command_trains_the_method_and_sets_keys_that_exist(name):
  commands = part(page(name), "## How we run it").replace("\\\n", " ").splitlines()
  commands = [line.split() for line in commands if line.startswith("contrastive_jax ")]
  assert commands
  for _, verb, *flags in commands:
    named = next(flag for flag in flags if flag.startswith("--config="))
    config = load(*_NAMED.fullmatch(named.removeprefix("--config=")).groups())
    keys = [flag.split("=")[0] for flag in flags if flag.startswith("--config.")]
    known = config_lib.flatten(config)
    assert all(key.removeprefix("--config.") in known for key in keys)
    assert any(flag.startswith("--workdir=") for flag in flags)
    assert verb == "eval" or config.method.name == name
    given = [flag.split("=")[1] for flag in flags if flag.startswith("--config.data.source=")]
    source = given[0] if given else config.data.source
    if verb == "train" and source != "shapes":
      assert f"--config.data.{source}.path" in keys


@pytest.mark.parametrize("name", methods.names())
def test_every_option_in_the_table_has_that_default(name):
  fields = {field.name: field.default for field in dataclasses.fields(methods.get(name))}
  rows = re.findall(r"^\| `method\.(\w+)` \| `(.*?)` \|", page(name), flags=re.M)
  assert bool(rows) == bool(fields)
  for option, default in rows:
    assert shown(fields[option]) == default, option


def test_measured_rows_are_those_of_the_results():
  others = [path for path in (ROOT / "docs").rglob("*.md") if PAGES not in path.parents]
  results = {line for path in others for line in path.read_text(encoding="utf-8").splitlines()}
  for name in methods.names():
    rows = re.findall(r"^\| .* % \|.*$", part(page(name), "## Figures"), flags=re.M)
    assert rows
    assert set(rows) <= results, f"{name}: {set(rows) - results}"


@pytest.mark.parametrize("name", methods.names())
def test_every_option_of_the_method_that_a_page_mentions_exists(name):
  known = {field.name for field in dataclasses.fields(methods.get(name))}
  assert set(re.findall(r"`(?:--config\.)?method\.(\w+)", page(name))) <= known


def shown(value):
  """Returns a default as the tables write it."""
  if value is None:
    return "unset"
  if isinstance(value, tuple):
    return ",".join(map(str, value))
  return value if isinstance(value, str) else repr(value)
