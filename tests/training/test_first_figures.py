"""Figures come with the first step and whenever it was silent, whatever the steps between lines."""

import jax.numpy as jnp

from contrastive_jax.training.due import Due
from contrastive_jax.training.readings import Readings
from contrastive_jax.training.skips import Skips


class Console:
  silent, shown = False, ()

  def is_silent_for(self, seconds, seconds_live):
    assert seconds <= 60, "a minute at most"
    return self.silent

  def progress(self, step, values, seconds):
    self.shown = (*self.shown, (step, values.get("images_per_second") is not None, seconds))


class Reporter:
  def __init__(self):
    self.console = Console()


class Alarms:
  def count(self, step, values):
    pass


def test_the_first_step_is_told_and_then_what_breaks_a_silence_with_its_rate():
  due = Due(100, 1000, log_every_steps=10**6, save_every_epochs=0, score_every_epochs=0)
  reporter = Reporter()
  made = Readings(reporter, due, lambda step: 0.1, 16, Skips(3), Alarms(), None, None, {})
  metrics = {k: jnp.asarray(0.0) for k in ("loss", "replaced", "skipped")}
  made.start(0)
  for step in (1, 2, 3):
    made.hold(step, metrics)
    made.catch_up()
  assert reporter.console.shown == ((1, False, None),), "compiling says nothing of the rate"
  reporter.console.silent = True
  made.hold(4, metrics)
  made.catch_up()
  (step, rate, seconds) = reporter.console.shown[-1]
  assert step == 4 and rate and seconds > 0, "and time is left"
