"""A run may be as long as so many steps: the schedule, its warm-up and who counts know it."""

import pathlib

import numpy as np
import pytest
import whole_runs
from tiny_config import tiny

import contrastive_jax as cj
from contrastive_jax import build, errors, unread
from contrastive_jax.plan import figures
from contrastive_jax.plan.images import Images
from contrastive_jax.study import collect, estimate
from contrastive_jax.study.cells import Cell
from contrastive_jax.training import trainer
from contrastive_jax.workdir import loading


def run_of(**changes):
  return build.run(tiny(**changes), num_images=64, num_classes=4, num_devices=1)


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_steps_are_another_word_for_epochs(schedule):
  changes = {"optimizer__warmup_epochs": 1.0, "optimizer__lr_schedule": schedule}
  of_epochs, of_steps = run_of(**changes), run_of(steps=12, epochs=100, **changes)
  assert of_epochs.total_steps == of_steps.total_steps == 12
  rates = [[float(run.schedule(step)) for step in range(13)] for run in (of_epochs, of_steps)]
  np.testing.assert_array_equal(*rates)


def test_a_part_of_an_epoch_is_a_whole_run():
  run = run_of(steps=3)
  assert (run.total_steps, run.schedule.total_steps, run.steps_per_epoch) == (3, 3, 4)
  assert float(run.schedule(3)) == pytest.approx(0, abs=1e-6), "the decay is over"


def test_a_warm_up_that_is_too_long_keeps_its_part():
  changes = {"epochs": 100, "optimizer__warmup_epochs": 10.0}
  assert run_of(**changes).schedule.warmup_steps == 40
  assert run_of(steps=20, **changes).schedule.warmup_steps == 2
  assert run_of(steps=40, **changes).schedule.warmup_steps == 40, "it fits"
  with pytest.raises(errors.UserError, match="warmup_epochs 200"):
    run_of(steps=20, **changes | {"optimizer__warmup_epochs": 200.0})


def test_both_given_is_a_mistake_and_neither_too_few_nor_too_many_pass():
  with pytest.raises(errors.UserError, match="epochs is given, .* steps is 10 and says how long"):
    cj.pretrain_config("shapes/quickstart", steps=10, epochs=3)
  assert cj.pretrain_config("shapes/quickstart", steps=10).steps == 10
  assert "epochs" not in unread.of_run(tiny())
  with pytest.raises(errors.UserError, match="steps 0 is below 1"):
    run_of(steps=0)
  with pytest.raises(errors.UserError, match="steps 3000000000 .*; set --config.steps=2147483647"):
    run_of(steps=3_000_000_000)


def test_plans_and_studies_count_them():
  found = {"devices": 1, "chip": None, "memory": {"refused": ""}, "choices": []}
  plan = figures.of("cpu:1", tiny(steps=6), Images(64, 4, 16), found)
  assert (plan["steps"], plan["epochs"]) == (6, 1.5)
  of_steps, of_epochs = (
    Cell({}, 0, "shapes/quickstart", changes, "one") for changes in ({"steps": 7}, {"epochs": 7})
  )
  assert estimate.Sizes().steps(of_steps) == 7
  assert [estimate._length(cell) for cell in (of_steps, of_epochs)] == [("steps", 7), ("epochs", 7)]
  lines = [{"step": 8, "epoch": 2.0}]
  for stored, total in (({"epochs": 3}, 12), ({"epochs": 3, "steps": 9}, 9)):
    run = collect.Run(pathlib.Path(), stored, {}, lines, [], {}, [])
    assert collect.total_steps(run) == total


def test_a_run_of_steps_goes_on_to_more_of_them(tmp_path):
  def trained(**changes):
    return trainer.train(tiny(**changes), str(tmp_path), whole_runs.one_device())

  trained(steps=6)
  assert loading.saved_steps(str(tmp_path)) == [4, 6]
  with pytest.raises(errors.UserError, match="steps 6 -> 9"):
    trained(steps=9)
  result = trained(steps=9, allow_config_change=True)
  assert int(result.state.step) == 9
  with pytest.raises(errors.UserError, match="is of step 9, beyond steps 7: .*--config.steps=10"):
    trained(steps=7, allow_config_change=True)
