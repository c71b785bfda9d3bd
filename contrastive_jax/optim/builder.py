"""Builds an optimiser from plain values, with rules that pick parameters by their path.

A path is the names down to a leaf, joined by "/", e.g. "backbone/block1_1/conv1/kernel".
A rule is a regular expression, found anywhere in the path.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from contrastive_jax import errors
from contrastive_jax.optim import algorithms
from contrastive_jax.optim import frozen as frozen_lib
from contrastive_jax.optim.options import BIAS_OR_SCALE, Options
from contrastive_jax.optim.schedules import Schedule


@dataclasses.dataclass(frozen=True)
class LrRule:
  """A learning rate of its own for the leaves whose path matches.

  Attributes:
    pattern: regular expression.
    multiplier: of the learning rate (Barlow Twins, biases and batch norm: 0.0048/0.2).
    constant: take the schedule's peak at every step (SimSiam's predictor).
  """

  pattern: str
  multiplier: float = 1.0
  constant: bool = False

  def __post_init__(self):
    if not 0 <= self.multiplier < math.inf:
      raise errors.UserError(
        f"optimizer lr_rules {self.pattern!r}: multiplier {self.multiplier} must be 0 or more"
      )


def build(
  name: str,
  learning_rate: float | Callable,
  weight_decay: float = 0.0,
  momentum: float = Options.momentum,
  nesterov: bool = Options.nesterov,
  trust_coefficient: float = Options.trust_coefficient,
  exclude: str = BIAS_OR_SCALE,
  decay_exclude: str = Options.decay_exclude,
  trust_eps: float = Options.trust_eps,
  trust_clip: bool = Options.trust_clip,
  lr_rules: Sequence[LrRule | tuple] = Options.lr_rules,
  final_weight_decay: float | None = Options.final_weight_decay,
  clip_norm: float = Options.clip_norm,
  clip_each: bool = Options.clip_each,
  b1: float = Options.b1,
  b2: float = Options.b2,
  eps: float = Options.eps,
  plain_accumulation: int = Options.plain_accumulation,
  frozen: frozen_lib.Frozen = (),
) -> optax.GradientTransformation:
  """Builds an optimiser; see `algorithms` for the formulas.

  Args:
    name: "lars", "lars_outside", "larc", "sgd", "adam", "adamw" or "lamb".
    learning_rate: a `Schedule`, any optax schedule, or a number.
    weight_decay: λ.
    final_weight_decay: λ goes there along a cosine until the schedule ends (DINO: 0.04 to 0.4);
      None leaves it constant.
    momentum, nesterov: of "lars", "lars_outside", "larc" and "sgd".
    trust_coefficient: η of "lars", "lars_outside" and "larc".
    trust_eps: ε of "larc".
    trust_clip: let no leaf of "larc" move faster than plain SGD would move it (solo-learn).
    exclude: pattern of the leaves that LARS, LARC and LAMB do not adapt, or "none".
    decay_exclude: pattern of the leaves without weight decay; "same" as `exclude`, or "none" to
      decay every leaf (MoCo, SimSiam).
    lr_rules: `LrRule`s or their fields as tuples; the first that matches a leaf counts.
    clip_norm: clips the norm of the whole gradient first; 0 for no clipping.
    clip_each: clips the norm of each array by itself instead (DINO's released code).
    b1, b2, eps: of "adam", "adamw" and "lamb".
    plain_accumulation: batches whose mean gradient makes one update. No batch gets more negatives
      by it; `micro_batches` of the config divides one batch and keeps them all.
    frozen: (pattern, steps) of leaves that have no gradient during so many first steps.

  Raises:
    UserError: a name is unknown, a value is out of its range or a pattern is no regular expression;
      from the optimiser's init, if an lr_rule matches no parameter.
  """
  if name not in algorithms.__all__:
    raise errors.UserError(
      f"optimizer {name!r} is unknown; use one of {', '.join(algorithms.__all__)}"
    )
  for field, value, below in (
    ("weight_decay", weight_decay, math.inf),
    ("final_weight_decay", final_weight_decay or 0.0, math.inf),
    ("momentum", momentum, 1),
    ("trust_coefficient", trust_coefficient, math.inf),
    ("trust_eps", trust_eps, math.inf),
    ("clip_norm", clip_norm, math.inf),
    ("b1", b1, 1),
    ("b2", b2, 1),
    ("eps", eps, math.inf),
  ):
    if not 0 <= value < below:
      limit = "0 or more" if below == math.inf else f"0 or more and less than {below}"
      raise errors.UserError(f"optimizer {field} {value} must be {limit}")

  if plain_accumulation < 1:
    raise errors.UserError(f"optimizer plain_accumulation {plain_accumulation} must be 1 or more")

  rules = tuple(_rule(rule) for rule in lr_rules)

  if final_weight_decay is not None:
    weight_decay = _cosine(weight_decay, final_weight_decay, learning_rate, plain_accumulation)

  settings = algorithms.Settings(
    rate=_scale_by_rates(learning_rate, rules, plain_accumulation),
    weight_decay=weight_decay,
    momentum=momentum,
    nesterov=nesterov,
    trust_coefficient=trust_coefficient,
    trust_eps=trust_eps,
    trust_clip=trust_clip,
    b1=b1,
    b2=b2,
    eps=eps,
    adapt_mask=unmatched(exclude),
    decay_mask=unmatched(exclude if decay_exclude == "same" else decay_exclude, "decay_exclude"),
    updates_missed=frozen_lib.updates_missed(frozen, plain_accumulation),
  )
  optimizer = getattr(algorithms, name)(settings)
  if clip_norm:
    clip = _clip_each(clip_norm) if clip_each else optax.clip_by_global_norm(clip_norm)
    optimizer = optax.chain(clip, optimizer)
  if frozen:
    optimizer = frozen_lib.hold(optimizer, frozen, plain_accumulation)
  if plain_accumulation > 1:
    optimizer = optax.MultiSteps(optimizer, plain_accumulation).gradient_transformation()
  return optimizer


def _rule(given: LrRule | tuple) -> LrRule:
  if isinstance(given, LrRule):
    return given
  kinds = (str, (int, float), bool)
  if not 1 <= len(given) <= 3 or not all(map(isinstance, given, kinds)):
    raise errors.UserError(
      f"optimizer lr_rules has {given!r}; a rule is (path pattern, multiplier, constant), "
      'e.g. ("predictor", 1.0, True)'
    )
  return LrRule(*given)


def unmatched(pattern: str, option: str = "exclude") -> Callable[[PyTree], PyTree[bool]]:
  """Returns the function from parameters to True where the path does not match, or "none".

  `option` is what errors call the pattern.
  """
  found = None if pattern == "none" else _compile(pattern, option)

  def mask(params):
    return jax.tree_util.tree_map_with_path(
      lambda path, _: found is None or not found.search(_join(path)), params
    )

  return mask


def _cosine(
  first: float, last: float, learning_rate: float | Callable, steps_per_update: int
) -> Callable:
  """Returns the weight decay after so many updates, a half-cosine from `first` to `last`."""
  if not isinstance(learning_rate, Schedule):
    raise errors.UserError(
      "optimizer final_weight_decay needs a learning rate that knows its end; build it with "
      "optim.schedule"
    )
  total = learning_rate.total_steps

  def weight_decay(count):
    done = jnp.minimum(count * steps_per_update / total, 1.0)
    return last + (first - last) * (1 + jnp.cos(jnp.pi * done)) / 2

  return weight_decay


def _clip_each(norm: float) -> optax.GradientTransformation:
  """Scales each array down to `norm`, if it is longer."""

  def clip(update, _):
    length = jnp.linalg.norm(update.astype(jnp.float32).ravel())
    return (update * jnp.minimum(1.0, norm / (length + 1e-6))).astype(update.dtype)

  return optax.stateless_with_tree_map(clip)


def _scale_by_rates(
  learning_rate: float | Callable, rules: Sequence[LrRule], steps_per_update: int
) -> optax.GradientTransformation:
  """Multiplies by minus the learning rate, or by minus what the first matching rule makes of it."""
  patterns = [_compile(rule.pattern, "lr_rules") for rule in rules]
  peak = learning_rate.peak if isinstance(learning_rate, Schedule) else learning_rate
  if callable(peak) and any(rule.constant for rule in rules):
    raise errors.UserError(
      "optimizer lr_rules: a constant rule needs a learning rate with a peak; "
      "build it with optim.schedule"
    )

  def rule_of(path) -> LrRule | None:
    matching = (rule for rule, p in zip(rules, patterns, strict=True) if p.search(_join(path)))
    return next(matching, None)

  def init(params):
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    for rule, pattern in zip(rules, patterns, strict=True):
      if not any(pattern.search(_join(path)) for path in paths):
        raise errors.UserError(
          f"optimizer lr_rules pattern {rule.pattern!r} matches no parameter; "
          f"a path looks like {_join(paths[0])!r}"
        )
    return optax.ScaleByScheduleState(count=jnp.zeros([], jnp.int32))

  def update(updates, state, params=None):
    del params
    step = state.count * steps_per_update
    scheduled = learning_rate(step) if callable(learning_rate) else learning_rate

    def scale(path, update):
      rule = rule_of(path) or LrRule("")
      rate = rule.multiplier * (peak if rule.constant else scheduled)
      return jnp.asarray(-rate, update.dtype) * update

    updates = jax.tree_util.tree_map_with_path(scale, updates)
    return updates, optax.ScaleByScheduleState(count=optax.safe_increment(state.count))

  return optax.GradientTransformation(init, update)


def _join(path) -> str:
  return jax.tree_util.keystr(path, simple=True, separator="/")


def _compile(pattern: str, option: str) -> re.Pattern:
  if not pattern:
    raise errors.UserError(f"optimizer {option} '' matches every path; use 'none' or '.*'")
  try:
    return re.compile(pattern)
  except re.error as error:
    raise errors.UserError(
      f"optimizer {option} {pattern!r} is no regular expression: {error}"
    ) from error
