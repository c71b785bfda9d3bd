"""docs/augmentation.md: its figures are the package's, its pictures what the package draws."""

import dataclasses
import importlib.util
import re

import numpy as np
import pytest
from conftest import REPOSITORY
from PIL import Image

from contrastive_jax import augment
from contrastive_jax.augment import table

_PAGE = (REPOSITORY / "docs" / "augmentation.md").read_text()
_PICTURES = REPOSITORY / "docs" / "pictures" / "augment"


@pytest.fixture(scope="module")
def script():
  """The script that draws the pictures, as a module; it imports its neighbour `scene`."""
  path = REPOSITORY / "docs" / "draw" / "augment.py"
  spec = importlib.util.spec_from_file_location("draw_augment", path)
  module = importlib.util.module_from_spec(spec)
  with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(path.parent))
    spec.loader.exec_module(module)
  return module


def _rows(*columns):
  """Returns the rows, {column: cell}, of the page's table with these columns."""
  found, header = [], None
  for line in _PAGE.splitlines():
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    if not line.startswith("|"):
      header = None
    elif header is None:
      header = cells
    elif header == list(columns) and set(line) - set("|-: "):
      found.append(dict(zip(columns, cells, strict=True)))
  return found


def _picture(name):
  with Image.open(_PICTURES / f"{name}.png") as image:
    return np.asarray(image.convert("RGB"))


def _pair(p):
  return f"{p[0]:g}" if p[0] == p[1] else f"{p[0]:g} / {p[1]:g}"


def test_the_figures_of_every_recipe_are_those_of_the_table():
  columns = "recipe", "crop area", "flip p", "jitter b, c, s, h", "jitter p", "grey p"
  rows = _rows(*columns, "blur p", "solarise p")
  want = [
    {
      "recipe": f"`{name}`",
      "crop area": f"{row.min_area:g} to {row.max_area:g}" if row.min_area else "–",
      "flip p": f"{row.flip_p:g}",
      "jitter b, c, s, h": ", ".join(f"{row.strength * x:g}" for x in row.jitter)
      if row.jitter_p
      else "–",
      "jitter p": f"{row.jitter_p:g}",
      "grey p": f"{row.grey_p:g}",
      "blur p": _pair(row.blur_p),
      "solarise p": _pair(row.solarize_p),
    }
    for name, row in table.ROWS.items()
  ]
  assert rows == want


def test_the_definitions_of_every_recipe_are_those_of_the_table():
  columns = "recipe", "order", "crop", "interpolation", "antialias", "jitter", "blur", "pixels"
  rows = _rows(*columns)
  want = []
  for name, row in table.ROWS.items():
    second = [operation for operation, _ in augment.recipe(name).views[1]]
    want.append(
      {
        "recipe": f"`{name}`",
        "order": ", ".join(second).replace("solarize", "solarise"),
        "crop": row.sampler if row.min_area else "whole",
        "interpolation": row.interpolation,
        "antialias": str(row.antialias).lower(),
        "jitter": row.jitter_family if row.jitter_p else "–",
        "blur": row.blur_family if any(row.blur_p) else "–",
        "pixels": row.normalize,
      }
    )
  assert rows == want


def test_the_figures_of_local_views_are_those_of_the_table():
  stated = {row["recipe"].strip("`"): row for row in _rows("recipe", "area", "blur p", "side")}
  for name, row in table.ROWS.items():
    got = stated.get(name, stated["all others"])
    blur = "as the first view" if row.local_blur_p is None else f"{row.local_blur_p:g}"
    assert got["area"] == "{:g} to {:g}".format(*row.local_area), name
    assert got["blur p"] == blur, name


def test_normalisations_are_those_of_the_package():
  rows = {row["`normalize`"].strip("`"): row for row in _rows("`normalize`", "mean", "std")}
  numbers = {
    name: tuple(tuple(float(x) for x in row[key].split(",")) for key in ("mean", "std"))
    for name, row in rows.items()
  }
  assert numbers == augment.NORMALIZATIONS


def test_every_recipe_has_a_source_and_a_picture_under_its_name():
  sources = " ".join(row["recipe"] for row in _rows("recipe", "source"))
  sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^#)", _PAGE, re.MULTILINE | re.DOTALL))
  assert list(sections) == list(augment.NAMES)
  for name, text in sections.items():
    assert f"`{name}`" in sources
    assert f"](pictures/augment/{name}.png)" in text


def test_every_option_is_there_with_its_default():
  rows = {
    row["option of `augment`"].strip("`"): row["default"]
    for row in _rows("option of `augment`", "default", "")
  }
  options = {f.name: f.default for f in dataclasses.fields(augment.Options)}
  want = {name: "unset" if x is None else str(x) for name, x in options.items()}
  assert rows == {"recipe": "the config's"} | want


def test_every_picture_is_on_the_page_and_small():
  linked = set(re.findall(r"pictures/augment/(\w+\.(?:png|svg))", _PAGE))
  files = list(_PICTURES.iterdir())
  assert {path.name for path in files} == linked
  assert max(path.stat().st_size for path in files) < 120_000
  assert sum(path.stat().st_size for path in files) < 1_500_000


def test_every_picture_begins_with_the_original(script):
  # A level: another NumPy may round a sine or a power elsewhere.
  np.testing.assert_allclose(_picture("original"), script.ORIGINAL.astype(float), atol=1)
  size = script.SIZE_PX
  original = script.coarse(script.original()).astype(float)
  for name in augment.NAMES:
    # Where a value lies between two steps, rounding in another way takes it to the next one.
    difference = abs(_picture(name)[:size, :size] - original)
    assert difference.max() <= script.STEP and difference.mean() < 0.1, name


def test_a_recipe_drawn_again_is_its_picture(script):
  got, want = script.coarse(script.recipe("simclr")).astype(float), _picture("simclr")
  assert got.shape == want.shape
  # XLA's versions, processors and levels of optimisation round differently in the last bit. That
  # takes a value between two steps of the picture to the next one: rarely, and by one step.
  difference = abs(got - want)
  assert difference.max() <= script.STEP and difference.mean() < 0.1


def test_the_code_on_the_page_draws_views(tmp_path, monkeypatch, script):
  code = re.search(r"```python\n(.*?)```", _PAGE, re.DOTALL).group(1)
  monkeypatch.chdir(tmp_path)
  Image.fromarray(script.ORIGINAL).save("photo.jpg")
  exec(compile(code, "augmentation.md", "exec"), {})
  with Image.open("views.png") as image:
    assert image.size == (6 * 130 - 2, 4 * 130 - 2)
