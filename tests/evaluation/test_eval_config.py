"""Configs of evaluations: those that come with the package, and what flags make of them."""

import runpy

import pytest
from conftest import REPOSITORY

from contrastive_jax import config as config_lib
from contrastive_jax import errors
from contrastive_jax.evaluation import config as eval_config


@pytest.mark.parametrize(
  "path", sorted((REPOSITORY / "configs" / "eval").glob("[!_]*.py")), ids=lambda p: p.stem
)
def test_eval_configs_are_valid_and_open_with_their_command(path):
  module = runpy.run_path(str(path))
  config = module["get_config"]()
  assert set(eval_config.resolve(config)[1]) == set(config.protocols)
  assert config.name.startswith(path.stem)  # two configs never write one file
  command = module["__doc__"].splitlines()[2]
  assert command.startswith("contrastive_jax eval --workdir=")
  assert command.endswith(f"--config=eval/{path.stem}")


def test_lists_of_names_may_be_given_as_one_flag():
  config = eval_config.evaluation("knn")
  config.layers = ("h,z",)  # what --config.layers=h,z gives
  config.baselines = ("",)  # --config.baselines=
  config.transformation.which = ("color,noise",)
  resolved, _ = eval_config.resolve(config)
  assert resolved.transformation.which == ("color", "noise")
  assert resolved.layers == ("h", "z") and resolved.baselines == ()
  assert config.layers == ("h,z",)  # the caller's own is left alone


@pytest.mark.parametrize("value", ["x", "", -1, 10**12, 1.5, True, (1,), ("x",), {}], ids=repr)
def test_any_key_of_any_value_is_taken_or_refused_in_a_line(value):
  def whole():
    return eval_config.evaluation(*eval_config.PROTOCOLS)

  for key in config_lib.flatten(whole()):
    try:
      _, options = eval_config.resolve(config_lib.changed(whole(), {key: value}))
      for settings in options.values():
        settings.check(64, 1)
    except errors.UserError as error:
      assert "\n" not in str(error) and "Could not override" not in str(error), error


def test_every_key_is_described():
  config = eval_config.evaluation()
  rows = eval_config.describe(config)
  assert [row[0] for row in rows] == list(config_lib.flatten(config))
  own = [row for row in rows if row[0].count(".") < 2]  # the sources describe theirs
  assert [row[0] for row in own if not row[3]] == []
