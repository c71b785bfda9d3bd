"""Options read from the source are those of the classes themselves, and need no JAX."""

import dataclasses
import importlib
import subprocess
import sys
import typing

import pytest
from conftest import REPOSITORY

from contrastive_jax import catalogue, declared
from contrastive_jax.evaluation import config as eval_config

CLASSES = [
  *((f"methods.{name}", "Method") for name in catalogue.methods()),
  *((f"data.{name}", "Options") for name in catalogue.sources()),
  *((f"evaluation.{module}", "Options") for module in eval_config.PROTOCOLS.values()),
  ("augment.options", "Options"),
  ("optim.options", "Options"),
  ("models.resnet", "ResNet"),
  ("models.vit", "ViT"),
]


def documented(cls):
  hints = typing.get_type_hints(cls)
  fields = [f for f in dataclasses.fields(cls) if "doc" in f.metadata]
  return {f.name: (hints[f.name], f.default, dict(f.metadata)) for f in fields}


@pytest.mark.parametrize(("module", "name"), CLASSES)
def test_what_is_read_is_what_the_class_has(module, name, monkeypatch):
  real = getattr(importlib.import_module(f"contrastive_jax.{module}"), name)
  monkeypatch.setattr(declared, "importlib", None)  # or an import would hide what cannot be read
  declared.options.cache_clear()
  read = declared.options(module, name)
  assert list(documented(read).items()) == list(documented(real).items())


@pytest.mark.parametrize(
  ("module", "name"),
  [("models.resnet", "__all__"), ("models.vit", "__all__"), ("augment.recipes", "NAMES")],
)
def test_a_constant_is_that_of_the_module(module, name):
  found = declared.constant(module, name)
  assert found == getattr(importlib.import_module(f"contrastive_jax.{module}"), name)


def test_what_cannot_be_read_is_imported():
  from contrastive_jax.models import resnet

  assert declared.constant("models.resnet", "resnet18") is resnet.resnet18
  declared.constant.cache_clear()


ALL_CONFIGS = """
import sys
from contrastive_jax import config, config_files
from contrastive_jax.evaluation import config as evaluation
for name in config_files.names():
  config.describe(config_files.load(name))
for name in config_files.names(config_files.EVALUATIONS):
  evaluation.describe(config_files.load(name))
print([m for m in ("jax", "flax", "optax", "grain", "matplotlib") if m in sys.modules])
"""


def test_every_config_is_loaded_and_described_without_jax():
  done = subprocess.run(
    [sys.executable, "-c", ALL_CONFIGS], cwd=REPOSITORY, capture_output=True, text=True
  )
  assert (done.stdout, done.stderr) == ("[]\n", "")
