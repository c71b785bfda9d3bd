"""Learning rates in natural units: a base rate, a batch size and epochs become a rate per step."""

import dataclasses
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import optax

from contrastive_jax import errors
from contrastive_jax.optim.options import SCHEDULES, Options
from contrastive_jax.optim.scaling import scaled_lr


@dataclasses.dataclass(frozen=True)
class Schedule:
  """An optax schedule (step -> learning rate) that knows what it was derived to.

  Attributes:
    peak: the rate at the end of the warm-up.
    warmup_steps, total_steps: where the warm-up and the schedule end.
    rate: the function itself.
  """

  peak: float
  warmup_steps: int
  total_steps: int
  rate: Callable = dataclasses.field(repr=False)

  def __call__(self, step):
    return self.rate(step)


def schedule(
  base_lr: float,
  batch_size: int,
  epochs: float,
  steps_per_epoch: int,
  lr_scaling: str = Options.lr_scaling,
  warmup_epochs: float = 0,
  start_fraction: float = Options.start_fraction,
  lr_schedule: str = Options.lr_schedule,
  final_fraction: float = Options.final_fraction,
  per_epoch: bool = Options.per_epoch,
  milestones: Sequence[float] = Options.milestones,
  milestone_factor: float = Options.milestone_factor,
) -> Schedule:
  """Builds a linear warm-up, then a decay from the peak.

  Args:
    base_lr: what `lr_scaling` scales by the batch size.
    batch_size: images per global batch.
    epochs: length of training, warm-up included.
    steps_per_epoch: optimiser steps per epoch.
    lr_scaling: "linear" (·B/256), "sqrt" (·√B) or "none".
    warmup_epochs: the rate at step 0 is the peak if there is no warm-up.
    start_fraction: the warm-up starts at this fraction of the peak (SwAV: 0.3/4.8).
    lr_schedule: "cosine" (one half-cosine over the epochs after the warm-up; SimCLR), "constant",
      or "step" (times `milestone_factor` at each milestone; MoCo v1).
    final_fraction: the cosine ends at this fraction of the peak (Barlow Twins: 0.001).
    per_epoch: the decay changes at the start of each epoch only (MoCo v2, SimSiam); the warm-up is
      per step all the same.
    milestones: epochs at which "step" decays, ascending, counted from the start of training.
    milestone_factor: of "step".

  Raises:
    UserError: a value is out of its range or its name is unknown.
  """
  peak = scaled_lr(lr_scaling, base_lr, batch_size)
  if steps_per_epoch < 1:
    raise errors.UserError(
      f"steps_per_epoch {steps_per_epoch} must be at least 1; is batch_size {batch_size} larger "
      "than the data set?"
    )
  if epochs <= 0:
    raise errors.UserError(f"epochs {epochs} must be more than 0")
  if not 0 <= warmup_epochs <= epochs:
    raise errors.UserError(
      f"optimizer warmup_epochs {warmup_epochs} must be between 0 and epochs {epochs}"
    )
  if lr_schedule not in SCHEDULES:
    raise errors.UserError(
      f"optimizer lr_schedule {lr_schedule!r} is unknown; use one of {', '.join(SCHEDULES)}"
    )
  for name, value in (("start_fraction", start_fraction), ("final_fraction", final_fraction)):
    if not 0 <= value <= 1:
      raise errors.UserError(f"optimizer {name} {value} must be between 0 and 1")
  if (lr_schedule == "step") != bool(milestones):
    raise errors.UserError(
      f"optimizer lr_schedule {lr_schedule!r} with milestones {tuple(milestones)}: 'step' needs "
      "milestones, the others take none"
    )
  if sorted(set(milestones)) != list(milestones) or any(m < warmup_epochs for m in milestones):
    raise errors.UserError(
      f"optimizer milestones {tuple(milestones)} must ascend and lie after warmup_epochs "
      f"{warmup_epochs}"
    )

  warmup_steps = round(warmup_epochs * steps_per_epoch)
  total_steps = max(1, round(epochs * steps_per_epoch))
  falls: dict[int, float] = {}
  for milestone in milestones:  # of a short epoch several may be one step
    step = round(milestone * steps_per_epoch) - warmup_steps
    falls[step] = falls.get(step, 1.0) * milestone_factor
  decays = {
    "cosine": optax.cosine_decay_schedule(peak, max(1, total_steps - warmup_steps), final_fraction),
    "constant": optax.constant_schedule(peak),
    "step": optax.piecewise_constant_schedule(peak, falls),
  }
  decay = decays[lr_schedule]
  if per_epoch:
    decay = _at_epoch_starts(decay, warmup_steps, steps_per_epoch)
  rate = decay
  if warmup_steps:
    warmup = optax.linear_schedule(start_fraction * peak, peak, warmup_steps)
    rate = optax.join_schedules([warmup, decay], [warmup_steps])
  return Schedule(peak, warmup_steps, total_steps, rate)


def _at_epoch_starts(decay: Callable, warmup_steps: int, steps_per_epoch: int) -> Callable:
  """Holds `decay`, a function of the steps since the warm-up, during each epoch of training."""

  def held(count):
    epoch_start = (count + warmup_steps) // steps_per_epoch * steps_per_epoch
    return decay(jnp.maximum(epoch_start - warmup_steps, 0))

  return held
