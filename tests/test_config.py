"""Configs: every file resolves, round-trips and holds the figures of its source."""

import importlib.util
import re

import pytest
from conftest import REPOSITORY

from contrastive_jax import build, config, errors, optim
from contrastive_jax.evaluation import config as eval_config

PRETRAIN = sorted(p for p in (REPOSITORY / "configs").glob("[!e]*/[!_]*.py"))
EVALUATION = sorted((REPOSITORY / "configs" / "eval").glob("[!_]*.py"))


def name(path):
  return f"{path.parent.name}/{path.stem}"


def load(path):
  spec = importlib.util.spec_from_file_location("config", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.mark.parametrize("path", PRETRAIN, ids=name)
def test_a_config_file_builds_what_it_names(path):
  c = load(path).get_config()
  config.check(c)
  build.net(c)
  build.recipe(c)
  build.optimizer(c, steps_per_epoch=10)


def named(path):
  """The arguments that the docstring of a config file names, and the lengths that it knows."""
  module = load(path)
  found = re.findall(rf"--config={name(path)}:([\w,]+)", module.__doc__)
  return dict.fromkeys([*found, *getattr(module, "LENGTHS", ())])


@pytest.mark.parametrize(("path", "argument"), [(p, a) for p in PRETRAIN for a in named(p)])
def test_a_named_variant_of_a_config_builds(path, argument):
  c = load(path).get_config(argument)
  config.check(c)
  build.net(c)
  build.recipe(c)
  build.optimizer(c, steps_per_epoch=10)
  if (
    argument.isdecimal() and path.parent.name + path.stem != "imagenetswav"
  ):  # whose argument is a batch size
    assert c.epochs == int(argument)


@pytest.mark.parametrize("path", PRETRAIN + EVALUATION, ids=name)
def test_a_config_file_opens_with_its_command(path):
  command = "eval" if path.parent.name == "eval" else "train"
  doc = load(path).__doc__
  assert f"contrastive_jax {command} " in doc and f"--config={name(path)}" in doc


@pytest.mark.parametrize("path", PRETRAIN + EVALUATION, ids=name)
def test_a_config_survives_json(path):
  c = load(path).get_config()
  again = config.from_json(config.to_json(c))
  assert config.flatten(again) == config.flatten(c)
  assert config.differences(c, again) == []


@pytest.mark.parametrize("path", EVALUATION, ids=name)
def test_every_key_of_an_evaluation_has_its_line(path):
  assert [row for row in eval_config.describe(load(path).get_config()) if not row[3]] == []


def test_imagenet_holds_the_figures_of_the_paper():
  c = load(REPOSITORY / "configs" / "imagenet" / "simclr.py").get_config("1000")
  o = c.optimizer
  assert (c.epochs, c.batch_size, c.image_size_px) == (1000, 4096, 224)
  assert (o.name, o.weight_decay, o.momentum, o.warmup_epochs) == ("lars", 1e-6, 0.9, 10)
  assert optim.scaled_lr(o.lr_scaling, o.base_lr, c.batch_size) == pytest.approx(4.8)
  assert (c.method.temperature, c.method.embedding_size, c.method.head_layers) == (0.1, 128, 2)
  views = dict(build.recipe(c).views[0])
  assert (views["blur"].p, views["grey"].p, views["jitter"].p) == (0.5, 0.2, 0.8)
  jitter = views["jitter"]
  strengths = (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
  assert strengths == (0.8, 0.8, 0.8, 0.2)


def test_differences_name_what_changes_the_computation_and_nothing_else():
  a, b = config.pretrain(), config.pretrain()
  b.batch_size, b.log.every_steps, b.checkpoint.keep = 512, 1, 9
  b.method.temperature = 0.5
  assert config.differences(a, b) == ["batch_size 256 -> 512", "method.temperature 0.1 -> 0.5"]


def test_a_value_no_run_could_use_is_named_with_its_flag():
  c = config.pretrain()
  c.checkpoint.keep = 0
  with pytest.raises(errors.UserError, match="checkpoint.keep 0 is below 1; set --config.checkpoi"):
    config.check(c)


def test_an_option_of_another_method_is_refused():
  c = config.pretrain()
  with c.unlocked():
    c.method.queue_size = 4096
  with pytest.raises(errors.UserError, match='method "simclr" has no option queue_size'):
    build.method(c)
