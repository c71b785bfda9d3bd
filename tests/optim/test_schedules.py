"""Learning rates over the steps of a run, against their formulas."""

import math

import pytest

from contrastive_jax import errors, optim


def test_linear_and_root_scaling_meet_at_4096():
  assert optim.scaled_lr("linear", 0.3, 4096) == pytest.approx(4.8)
  assert optim.scaled_lr("sqrt", 0.075, 4096) == pytest.approx(4.8)
  assert optim.scaled_lr("sqrt", 0.075, 256) == pytest.approx(1.2)
  assert optim.scaled_lr("none", 0.03, 512) == 0.03


def test_warm_up_rises_to_the_peak_and_the_cosine_falls_to_its_end():
  rate = optim.schedule(
    0.3, 4096, epochs=100, steps_per_epoch=7, warmup_epochs=10, final_fraction=0.01
  )
  assert (rate.peak, rate.warmup_steps, rate.total_steps) == (pytest.approx(4.8), 70, 700)
  for step in (0, 1, 35, 69, 70, 71, 300, 385, 699, 700, 9999):
    if step < 70:
      wanted = 4.8 * step / 70
    else:
      part = min(step - 70, 630) / 630
      wanted = 4.8 * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * part)))
    assert float(rate(step)) == pytest.approx(wanted, rel=1e-5, abs=1e-6), step


def test_a_warm_up_can_start_above_0():
  rate = optim.schedule(0.3, 4096, 800, 10, warmup_epochs=10, start_fraction=0.3 / 4.8)
  for step in (0, 25, 99):  # SwAV: from 0.3 to 4.8
    assert float(rate(step)) == pytest.approx(0.3 + 4.5 * step / 100, rel=1e-5)


def test_without_warm_up_the_first_rate_is_the_peak():
  assert float(optim.schedule(0.3, 256, epochs=10, steps_per_epoch=3)(0)) == pytest.approx(0.3)


def test_a_per_epoch_cosine_changes_only_where_epochs_start():
  rate = optim.schedule(0.03, 256, epochs=8, steps_per_epoch=5, per_epoch=True)
  for epoch in range(8):  # MoCo: 0.5 · lr · (1 + cos(pi · epoch / epochs))
    wanted = 0.5 * 0.03 * (1 + math.cos(math.pi * epoch / 8))
    for step in range(5):
      assert float(rate(epoch * 5 + step)) == pytest.approx(wanted, rel=1e-5)
  both = optim.schedule(0.03, 256, 8, 5, warmup_epochs=2, per_epoch=True)
  assert float(both(3)) == pytest.approx(0.03 * 3 / 10)
  assert float(both(14)) == pytest.approx(0.03)
  assert float(both(15)) == pytest.approx(0.5 * 0.03 * (1 + math.cos(math.pi / 6)))


def test_steps_decay_at_epochs_counted_from_the_start():
  rate = optim.schedule(
    0.03, 256, 200, 3, warmup_epochs=4, lr_schedule="step", milestones=(120, 160)
  )
  values = [(12, 0.03), (359, 0.03), (360, 0.003), (479, 0.003), (480, 0.0003), (599, 0.0003)]
  for step, wanted in values:
    assert float(rate(step)) == pytest.approx(wanted, rel=1e-5), step


def test_milestones_of_one_step_decay_both():
  rate = optim.schedule(0.03, 256, 8, 1, "none", lr_schedule="step", milestones=(2, 4.1, 4.4))
  assert [float(rate(step)) for step in (1, 3, 4, 7)] == pytest.approx([0.03, 3e-3, 3e-5, 3e-5])


def test_a_constant_schedule_stays_at_the_peak():
  rate = optim.schedule(0.03, 512, 10, 3, "none", lr_schedule="constant", warmup_epochs=1)
  assert [float(rate(s)) for s in (0, 3, 29)] == pytest.approx([0, 0.03, 0.03])


BAD_SCHEDULES = [
  ({"lr_scaling": "cubic"}, "linear, sqrt, none"),
  ({"base_lr": -0.1}, "base_lr -0.1"),
  ({"base_lr": float("nan")}, "base_lr nan"),
  ({"batch_size": 0}, "batch_size 0"),
  ({"epochs": 0}, "epochs 0"),
  ({"warmup_epochs": 11}, "warmup_epochs 11 must be between 0 and epochs 10"),
  ({"warmup_epochs": -1}, "warmup_epochs -1"),
  ({"steps_per_epoch": 0}, "steps_per_epoch 0"),
  ({"lr_schedule": "poly"}, "cosine, constant, step"),
  ({"final_fraction": 2}, "final_fraction 2"),
  ({"start_fraction": -1}, "start_fraction -1"),
  ({"milestones": (3,)}, "milestones"),
  ({"lr_schedule": "step"}, "milestones"),
  ({"lr_schedule": "step", "milestones": (5, 3)}, "ascend"),
  ({"lr_schedule": "step", "milestones": (1,), "warmup_epochs": 2}, "warmup_epochs 2"),
]


@pytest.mark.parametrize(("change", "message"), BAD_SCHEDULES)
def test_a_schedule_that_cannot_work_is_refused(change, message):
  good = {"base_lr": 0.3, "batch_size": 256, "epochs": 10, "steps_per_epoch": 5}
  with pytest.raises(errors.UserError, match=message):
    optim.schedule(**{**good, **change})
