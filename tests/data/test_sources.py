"""Sources are found by name, say what they take, and import nothing heavy."""

import dataclasses
import subprocess
import sys

import pytest

from contrastive_jax import catalogue, data, errors

NAMES = (
  "arrayrecord",
  "folder",
  "given",
  "npz",
  "parquet",
  "shapes",
  "table",
  "tfds",
  "webdataset",
)


def test_every_source_is_found_by_its_module():
  assert catalogue.sources() == NAMES
  for name in catalogue.sources():
    for field in dataclasses.fields(catalogue.source(name)):
      assert field.metadata["doc"] and field.default is not dataclasses.MISSING


@pytest.mark.parametrize("name", ["imagenet", "pipeline", "images", "", "no such", "os.path"])
def test_unknown_sources_are_refused(name):
  for use in (lambda: data.build(name, split="train"), lambda: catalogue.source(name)):
    with pytest.raises(errors.UserError, match="unknown; use one of " + ", ".join(NAMES)):
      use()


def test_options_that_a_source_does_not_have_are_refused():
  with pytest.raises(errors.UserError, match="has no option name .*it takes path, label"):
    data.build("npz", split="train", path="a.npz", name="cifar10")


def test_options_that_are_empty_count_as_not_given():
  source = data.build("shapes", split="train", name="", path=None, num_train=8)
  assert len(source) == 8


def test_sources_import_neither_jax_nor_tensorflow_nor_grain():
  code = (
    "import sys\n"
    "from contrastive_jax import data\n"
    "from contrastive_jax.data import arrayrecord, folder, given, npz, parquet, shapes, table\n"
    "from contrastive_jax.data import tfds, webdataset\n"
    "data.build('shapes', split='train', num_train=4)[0]\n"
    "print([m for m in ('jax', 'tensorflow', 'grain', 'pyarrow') if m in sys.modules])\n"
  )
  done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
  assert done.stdout.strip() == "[]"
