"""The section `optimizer` of a configuration: the parameters of `schedule` and of `build`.

Their defaults are these; without a word about them, though, the functions neither warm up nor decay
the weights.
"""

import dataclasses

from contrastive_jax.optim.algorithms import __all__ as ALGORITHMS
from contrastive_jax.optim.scaling import SCALINGS
from contrastive_jax.options import option

SCHEDULES = ("cosine", "constant", "step")
# The options that some of the algorithms alone read, and those algorithms.
READ_BY = {
  "momentum": ("lars", "lars_outside", "larc", "sgd"),
  "nesterov": ("lars", "lars_outside", "larc", "sgd"),
  "trust_coefficient": ("lars", "lars_outside", "larc"),
  "trust_eps": ("larc",),
  "trust_clip": ("larc",),
  "b1": ("adam", "adamw", "lamb"),
  "b2": ("adam", "adamw", "lamb"),
  "eps": ("adam", "adamw", "lamb"),
}
BIAS_OR_SCALE = r"(^|/)(bias|scale)$"  # batch norm's parameters and every bias


@dataclasses.dataclass(frozen=True)
class Options:
  """Optimiser and learning rate; the defaults are SimCLR's for ImageNet (section 2.1)."""

  name: str = option("lars", ", ".join(ALGORITHMS))
  base_lr: float = option(0.3, "learning rate before lr_scaling")
  lr_scaling: str = option("linear", f"{', '.join(SCALINGS)}: times B/256, sqrt B, 1")
  warmup_epochs: float = option(10.0, "epochs of linear warm-up")
  start_fraction: float = option(0.0, "the warm-up starts at this fraction of the peak")
  lr_schedule: str = option("cosine", f"after the warm-up: {', '.join(SCHEDULES)}")
  final_fraction: float = option(0.0, "the cosine ends at this fraction of the peak")
  per_epoch: bool = option(False, "change the rate at the start of each epoch only, not each step")
  milestones: tuple[float, ...] = option((), "epochs at which the step schedule decays")
  milestone_factor: float = option(0.1, "what the step schedule multiplies by")
  weight_decay: float = option(1e-6, "coefficient of the L2 term (adamw, lamb: decoupled)")
  final_weight_decay: float | None = option(None, "weight_decay goes there along a cosine")
  momentum: float = option(0.9, "of lars, lars_outside, larc and sgd")
  nesterov: bool = option(False, "Nesterov's form of the momentum")
  trust_coefficient: float = option(0.001, "eta of lars, lars_outside and larc")
  trust_eps: float = option(1e-8, "added to the norm of the gradient: larc")
  trust_clip: bool = option(False, "no array moves faster than sgd would move it: larc")
  exclude: str = option(
    BIAS_OR_SCALE, "paths that lars, larc and lamb do not adapt: a pattern, or none"
  )
  decay_exclude: str = option("same", "paths without decay: a pattern, same (as exclude), none")
  lr_rules: tuple[tuple, ...] = option((), "(path pattern, multiplier, constant) of own rates")
  clip_norm: float = option(0.0, "largest norm of the whole gradient (0: no clipping)")
  clip_each: bool = option(False, "clip_norm is of each array, not of the whole gradient")
  b1: float = option(0.9, "decay of the first moment: adam, adamw, lamb")
  b2: float = option(0.999, "decay of the second moment: adam, adamw, lamb")
  eps: float = option(1e-8, "added to the root of the second moment: adam, adamw, lamb")
  plain_accumulation: int = option(
    1, "batches whose mean gradient makes an update; unlike micro_batches, no more negatives"
  )
