"""The optimisers, each written as the chain of its steps.

Update rules for a leaf w with gradient g, weight decay λ, momentum m and rate α. LARS (You et al.,
2017) first forms g̃ = g + λw and the trust ratio t = η‖w‖/‖g̃‖, with t = 1 where either norm is 0 and
no epsilon. Two conventions are published under that name; they agree only while α is constant:

- `lars`, rate inside the momentum: v ← mv + αtg̃, w ← w - v (SimCLR);
- `lars_outside`, rate outside: v ← mv + tg̃, w ← w - αv (BYOL, MoCo v3, Barlow Twins, VICReg).

Leaves outside `adapt_mask` have t = 1, leaves outside `decay_mask` have λ = 0.
"""

import dataclasses
from collections.abc import Callable

import optax

__all__ = ["lars", "lars_outside", "sgd", "adam", "adamw", "lamb"]


@dataclasses.dataclass(frozen=True)
class Settings:
  """What the optimisers need; each uses its own part."""

  rate: optax.GradientTransformation  # multiplies by minus the learning rate
  weight_decay: float | Callable  # of the number of updates
  momentum: float
  nesterov: bool
  trust_coefficient: float
  b1: float
  b2: float
  eps: float
  decay_mask: Callable  # params -> tree of bool
  adapt_mask: Callable  # params -> tree of bool


def lars(s: Settings) -> optax.GradientTransformation:
  """LARS with the rate inside the momentum; `optax.lars` is the same."""
  return optax.chain(_decay(s), _adapt(s, s.trust_coefficient), s.rate, _momentum(s))


def lars_outside(s: Settings) -> optax.GradientTransformation:
  """LARS with the rate outside the momentum."""
  return optax.chain(_decay(s), _adapt(s, s.trust_coefficient), _momentum(s), s.rate)


def sgd(s: Settings) -> optax.GradientTransformation:
  """v ← mv + g + λw, w ← w - αv: torch.optim.SGD without dampening."""
  return optax.chain(_decay(s), _momentum(s), s.rate)


def adam(s: Settings) -> optax.GradientTransformation:
  """Adam (Kingma and Ba, 2015) of g + λw: torch.optim.Adam."""
  return optax.chain(_decay(s), optax.scale_by_adam(s.b1, s.b2, s.eps), s.rate)


def adamw(s: Settings) -> optax.GradientTransformation:
  """Adam with λw added after the adaptation (Loshchilov and Hutter, 2019): torch.optim.AdamW."""
  return optax.chain(optax.scale_by_adam(s.b1, s.b2, s.eps), _decay(s), s.rate)


def lamb(s: Settings) -> optax.GradientTransformation:
  """LAMB (You et al., 2020): adamw's step, rescaled per leaf to the norm of the leaf."""
  return optax.chain(
    optax.scale_by_adam(s.b1, s.b2, s.eps), _decay(s), _adapt(s, coefficient=1.0), s.rate
  )


def _decay(s: Settings) -> optax.GradientTransformation:
  return optax.add_decayed_weights(s.weight_decay, s.decay_mask)


def _adapt(s: Settings, coefficient: float) -> optax.GradientTransformation:
  trust = optax.scale_by_trust_ratio(trust_coefficient=coefficient)
  return optax.masked(trust, s.adapt_mask)


def _momentum(s: Settings) -> optax.GradientTransformation:
  return optax.trace(s.momentum, s.nesterov)
