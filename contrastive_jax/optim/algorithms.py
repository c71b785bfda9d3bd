"""The optimisers, each written as the chain of its steps.

Update rules for a leaf w with gradient g, weight decay λ, momentum m and rate α. LARS (You et al.,
2017) first forms g̃ = g + λw and the trust ratio t = η‖w‖/‖g̃‖, with t = 1 where either norm is 0 and
no epsilon. Two conventions are published under that name; they agree only while α is constant:

- `lars`, rate inside the momentum: v ← mv + αtg̃, w ← w - v (SimCLR);
- `lars_outside`, rate outside: v ← mv + tg̃, w ← w - αv (BYOL, MoCo v3, Barlow Twins, VICReg).

A third form, `larc`, keeps the decay out of the norm in the denominator and adds an epsilon there:
t = η‖w‖/(‖g‖ + λ‖w‖ + ε), then v ← mv + t(g + λw), w ← w - αv. Apex and SwAV have it so, and, with
t ← min(t/α, 1), so that no leaf moves faster than plain SGD would move it, solo-learn. Where either
norm is 0 a leaf is left to plain momentum, without decay, as in those two.

Leaves outside `adapt_mask` have t = 1, leaves outside `decay_mask` have λ = 0.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from contrastive_jax.optim import frozen

__all__ = ["lars", "lars_outside", "larc", "sgd", "adam", "adamw", "lamb"]


@dataclasses.dataclass(frozen=True)
class Settings:
  """What the optimisers need; each uses its own part."""

  rate: optax.GradientTransformation  # multiplies by minus the learning rate
  weight_decay: float | Callable  # of the number of updates
  momentum: float
  nesterov: bool
  trust_coefficient: float
  trust_eps: float
  trust_clip: bool
  b1: float
  b2: float
  eps: float
  decay_mask: Callable  # params -> tree of bool
  adapt_mask: Callable  # params -> tree of bool
  updates_missed: Callable  # params -> tree of int: the first updates, in which a leaf is frozen


def lars(s: Settings) -> optax.GradientTransformation:
  """LARS with the rate inside the momentum; `optax.lars` is the same."""
  return optax.chain(_decay(s), _adapt(s, s.trust_coefficient), s.rate, _momentum(s))


def lars_outside(s: Settings) -> optax.GradientTransformation:
  """LARS with the rate outside the momentum."""
  return optax.chain(_decay(s), _adapt(s, s.trust_coefficient), _momentum(s), s.rate)


def larc(s: Settings) -> optax.GradientTransformation:
  """LARS with the rate outside the momentum and the decay outside the norm; can be clipped."""
  return optax.chain(_adapt_and_decay(s), _momentum(s), s.rate)


def sgd(s: Settings) -> optax.GradientTransformation:
  """v ← mv + g + λw, w ← w - αv: torch.optim.SGD without dampening."""
  return optax.chain(_decay(s), _momentum(s), s.rate)


def adam(s: Settings) -> optax.GradientTransformation:
  """Adam (Kingma and Ba, 2015) of g + λw: torch.optim.Adam."""
  return optax.chain(_decay(s), _adam(s), s.rate)


def adamw(s: Settings) -> optax.GradientTransformation:
  """Adam with λw added after the adaptation (Loshchilov and Hutter, 2019): torch.optim.AdamW."""
  return optax.chain(_adam(s), _decay(s), s.rate)


def lamb(s: Settings) -> optax.GradientTransformation:
  """LAMB (You et al., 2020): adamw's step, rescaled per leaf to the norm of the leaf."""
  return optax.chain(_adam(s), _decay(s), _adapt(s, coefficient=1.0), s.rate)


def _adam(s: Settings) -> optax.GradientTransformation:
  return frozen.scale_by_adam(s.b1, s.b2, s.eps, s.updates_missed)


def _decay(s: Settings) -> optax.GradientTransformation:
  return optax.add_decayed_weights(s.weight_decay, s.decay_mask)


def _adapt(s: Settings, coefficient: float) -> optax.GradientTransformation:
  trust = optax.scale_by_trust_ratio(trust_coefficient=coefficient)
  return optax.masked(trust, s.adapt_mask)


def _momentum(s: Settings) -> optax.GradientTransformation:
  return optax.trace(s.momentum, s.nesterov)


class _LarcState(NamedTuple):
  count: jax.Array  # of updates
  rate: Any  # of `Settings.rate`, which says what the rate is


def _adapt_and_decay(s: Settings) -> optax.GradientTransformation:
  """g becomes t(g + λw) in the manner of `larc`."""

  def init(params):
    return _LarcState(jnp.zeros([], jnp.int32), s.rate.init(params))

  def update(updates, state, params):
    decay = s.weight_decay(state.count) if callable(s.weight_decay) else s.weight_decay
    minus_one = jax.tree.map(lambda _: jnp.float32(-1), updates)
    rates, rate_state = s.rate.update(minus_one, state.rate, params)

    def leaf(g, w, rate, adapted, decayed):
      own_decay = decay if decayed else 0.0
      if not adapted:
        return g + own_decay * w
      of_w, of_g = _norm(w), _norm(g)
      t = s.trust_coefficient * of_w / (of_g + own_decay * of_w + s.trust_eps)
      if s.trust_clip:
        t = jnp.minimum(t / jnp.maximum(rate, 1e-30), 1.0)  # the rate can be 0, before the warm-up
      return jnp.where((of_w > 0) & (of_g > 0), t * (g + own_decay * w), g).astype(g.dtype)

    masks = s.adapt_mask(params), s.decay_mask(params)
    updates = jax.tree.map(leaf, updates, params, rates, *masks)
    return updates, _LarcState(optax.safe_increment(state.count), rate_state)

  return optax.GradientTransformation(init, update)


def _norm(x: jax.Array) -> jax.Array:
  return jnp.sqrt(jnp.sum(jnp.square(x.astype(jnp.float32))))
