"""What lasts is told once, with its figure and limit; what passes is not told."""

import pytest

from contrastive_jax.training.alarms import CLEARED_AFTER, Alarms

GOOD = {"loss": 3.0, "grad_norm": 1.0, "param_norm": 10.0}
SOUND = {"collapse_std": 1.0, "collapse_rank": 9.0, "collapse_cosine": 0.1, "collapse_zeros": 0.0}


def alarms(chance=3.43, **changes):
  given = {
    "warmup_steps": 0,
    "idle_steps": 0,
    "after_steps": 0,
    "lasting_steps": 4,
    "min_gradient": 1e-6,
  }
  limits = {"min_std": 0.1, "min_rank": 2.0, "max_cosine": 0.95, "max_zeros": 0.01}
  return Alarms(chance, **given | limits | changes)


def told(made, steps, every=1):
  """The lines of each step, for steps of these changes to `GOOD`, told with every so many."""
  found = []
  for step, changes in enumerate(steps, start=1):
    made.count(step, GOOD | changes)
    found.append(made.new(step, GOOD | SOUND | changes) if step % every == 0 else [])
  return found


@pytest.mark.parametrize(
  "bad, words",
  [
    ({"loss": 12.1}, "loss 12.1 is above chance (3.43: all embeddings alike) for 4 steps in a row"),
    ({"grad_norm": 1e-6}, "norm of the gradient 1.0e-06 is below 1e-06 times that of the weights"),
    ({"grad_norm": 0.0}, "norm of the gradient 0.0e+00 is below"),
    ({"grad_norm": 1e-4, "param_norm": 1e5}, "weights, 1e+05 for 4 steps in a row: nothing is"),
  ],
)
def test_what_lasts_is_told_once_until_it_clears(bad, words):
  before, line, after, again = [{}] * 5, [bad] * 6, [{}] * CLEARED_AFTER, [bad] * 4
  found = told(alarms(), before + line + after + again)
  assert [step for step, lines in enumerate(found, start=1) if lines] == [9, 25]
  ((first,), (second,)) = (lines for lines in found if lines)
  assert words in first and "base_lr" in first and first == second


@pytest.mark.parametrize(
  "steps",
  [
    [{"loss": 12.1}] * 3 + [{}] + [{"loss": 12.1}] * 3,  # never so many in a row
    [{"loss": 3.43 + 1e-6}] * 9,  # chance itself, rounded: a run that has not begun to learn
    [{"grad_norm": 2e-5}] * 9,
  ],
)
def test_what_passes_or_stays_within_limits_is_not_told(steps):
  assert not any(told(alarms(), steps))


def test_steps_between_two_lines_count():
  found = told(alarms(), [{"loss": 5.0}] * 3 + [{}] + [{"loss": 5.0}] * 4, every=4)
  assert [bool(lines) for lines in found] == [False] * 7 + [True]
  assert not any(told(alarms(), [{"loss": 5.0}] * 3 + [{}] + [{"loss": 5.0}] * 3, every=4))


def test_the_warm_up_may_be_above_chance():
  found = told(alarms(warmup_steps=6), [{"loss": 5.0}] * 12)
  assert [step for step, lines in enumerate(found, start=1) if lines] == [10]


def test_what_trains_nothing_at_the_start_is_not_told():
  dead = [{"loss": 5.0, "grad_norm": 0.0}] * 12
  found = told(alarms(idle_steps=6), dead)
  assert [len(lines) for lines in found] == [0] * 9 + [2] + [0] * 2


def test_a_loss_without_chance_is_not_compared():
  assert not any(told(alarms(chance=None), [{"loss": 1e9}] * 9))


def test_a_head_of_zeros_is_told():
  zeros = {"collapse_zeros": 0.25}
  (line,) = told(alarms(), [zeros])[0]
  assert "share of z without length 0.250 > 0.01: the head outputs zeros" in line
  assert not any(told(alarms(after_steps=9), [zeros] * 4)), "as of every collapse, not before"


def test_a_figure_that_crosses_its_limit_back_and_forth_is_told_once_until_it_stays_away():
  rank, zeros = {"collapse_rank": 1.9}, {"collapse_zeros": 0.25}
  crossing = [rank, {}, {}] * 20 + [rank] + [{}] * (CLEARED_AFTER - 1)
  found = told(alarms(), crossing + [rank, zeros, rank | zeros])
  assert [step for step, lines in enumerate(found, start=1) if lines] == [1, len(crossing) + 2]
  found = told(alarms(), [*crossing, {}, rank])
  assert [step for step, lines in enumerate(found, start=1) if lines] == [1, len(crossing) + 2]
