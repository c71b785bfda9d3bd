"""Configs: every file resolves, round-trips and holds the figures of its source."""

import functools
import importlib.util
import re

import pytest
from conftest import REPOSITORY

from contrastive_jax import build, config, config_files, errors, optim
from contrastive_jax.evaluation import config as eval_config

PRETRAIN = [REPOSITORY / "configs" / f"{name}.py" for name in config_files.names()]
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


OF_NO_IDENTITY = {
  "data": "cache memory, num_threads 1, num_workers 3, eval_split validation",
  "data.folder": "path elsewhere",
  "data.npz": "path elsewhere",
  "data.tfds": "path elsewhere",
  "monitor": "every_epochs 3, k 3, temperature 0.5, max_train 3, max_test 3, batch_size 3,"
  " online_learning_rate 0.5, min_std 0.5, min_rank 0.5, max_cosine 0.5, alarm_after_steps 3,"
  " max_zeros 0.5, min_gradient 0.5, lasting_steps 3",
  "log": "every_steps 3, tensorboard False, views True",
  "checkpoint": "every_epochs 0.5, every_minutes 9, keep 3, keep_best 3, restart True",
  "watchdog": "stuck_after_s 0.5, peer_silent_s 0.5",
  "method": "loss_impl dense",
  "model": "remat True",
  "": "micro_batches 2, fit_memory False, memory_limit_gib 0.5, fsdp True, max_skipped_steps 9,"
  " allow_config_change True",
}


def changed(key, word):
  """The default config with one value another, given as a word, and the data source of its key."""
  c = config.pretrain()
  section, _, name = key.rpartition(".")
  values = {"True": True, "False": False}
  if section.startswith("data."):
    c.data.source = section.removeprefix("data.")
  before = c.copy_and_resolve_references()
  at = functools.reduce(lambda found, part: found[part], filter(None, section.split(".")), c)
  at[name] = values[word] if word in values else type(at[name])(word)
  assert at[name] != functools.reduce(lambda found, part: found[part], key.split("."), before)
  return before, c


@pytest.mark.parametrize(
  ("key", "value"),
  [
    (f"{section}.{name}".strip("."), value)
    for section, pairs in OF_NO_IDENTITY.items()
    for name, value in (pair.split() for pair in pairs.split(", "))
  ],
)
def test_what_is_of_no_identity_may_change_while_a_run_goes_on(key, value):
  assert config.differences(*changed(key, value)) == []


@pytest.mark.parametrize(
  ("key", "value"),
  [
    ("seed", "1"),
    ("epochs", "7"),
    ("image_size_px", "7"),
    ("data.split", "train[:50%]"),
    ("data.folder.labels", "none"),
    ("data.npz.label", "coarse"),
    ("data.tfds.name", "cifar100"),
    ("data.shapes.num_train", "7"),
    ("model.bn_groups", "2"),
    ("augment.recipe", "byol"),
    ("optimizer.base_lr", "7.0"),
  ],
)
def test_what_is_of_a_runs_identity_may_not(key, value):
  [told] = config.differences(*changed(key, value))
  assert told.startswith(f"{key} ") and told.endswith(f" -> {value}")


def test_the_options_of_other_sources_are_of_no_identity():
  a, b = config.pretrain(), config.pretrain()
  b.data.tfds.name, b.data.folder.labels = "cifar10", "none"
  assert config.differences(a, b) == []
  a.data.source = b.data.source = "tfds"
  assert config.differences(a, b) == ["data.tfds.name  -> cifar10"]


def test_a_key_that_came_after_a_run_began_was_at_its_default():
  a, b = config.pretrain(), config.pretrain()
  with a.unlocked():
    del a.model["padding"]
  assert config.differences(a, b) == []
  b.model.padding = "torch"
  assert config.differences(a, b) == ["model.padding same -> torch"]


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
