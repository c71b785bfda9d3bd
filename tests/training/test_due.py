"""The calendar of a run: what is due after which of its steps."""

from contrastive_jax.training.due import Due


def steps(**changes):
  """The steps of a run of 20, 4 an epoch, after which each thing is due."""
  options = {"log_every_steps": 8, "save_every_epochs": 1.0, "score_every_epochs": 2.0} | changes
  due = Due(steps_per_epoch=4, total_steps=20, **options)
  asked = {"log": due.log, "save": due.save, "score": due.score}
  return {name: [s for s in range(1, 21) if is_due(s)] for name, is_due in asked.items()}


def test_everything_is_due_at_its_interval_and_after_the_last_step():
  assert steps() == {"log": [8, 16, 20], "save": [4, 8, 12, 16, 20], "score": [8, 16, 20]}


def test_zero_epochs_leave_the_last_step_alone():
  assert steps(save_every_epochs=0, score_every_epochs=0)["save"] == [20]


def test_an_interval_may_be_a_fraction_of_an_epoch_but_no_less_than_a_step():
  assert steps(save_every_epochs=0.5)["save"] == list(range(2, 21, 2))
  assert steps(save_every_epochs=0.01)["save"] == list(range(1, 21))


def test_what_is_scored_is_saved():
  assert steps(save_every_epochs=0)["save"] == [8, 16, 20]
