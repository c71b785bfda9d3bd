"""Parameters that are frozen at first, against loops in which they have no gradient at all."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from contrastive_jax import optim

STEPS, FROZEN = 12, 5
RATE, DECAY, B1, B2, EPS = 0.1, 0.05, 0.9, 0.999, 1e-8
PATTERN = "(^|/)last/"


def tree(seed):
  rng = np.random.default_rng(seed)
  shapes = {"h": {"kernel": (3, 4)}, "last": {"kernel": (4, 2)}}
  return jax.tree.map(lambda s: rng.normal(size=s), shapes, is_leaf=lambda x: isinstance(x, tuple))


def trained(optimizer, start, gradients):
  """All parameters after each step."""
  params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), start)
  state, seen = optimizer.init(params), []
  step = jax.jit(optimizer.update)
  for g in gradients:
    updates, state = step(jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), g), state, params)
    params = optax.apply_updates(params, updates)
    seen.append(params)
  return seen, state


def adamw(w, gradients, first):
  """torch.optim.AdamW of one array whose gradient is None before step `first`."""
  mu, nu, seen = 0 * w, 0 * w, []
  for step, g in enumerate(gradients):
    if step >= first:
      count = step - first + 1
      mu, nu = B1 * mu + (1 - B1) * g, B2 * nu + (1 - B2) * g * g
      way = mu / (1 - B1**count) / (np.sqrt(nu / (1 - B2**count)) + EPS)
      w = w - RATE * (way + DECAY * w)
    seen.append(w)
  return seen


def sgd(w, gradients, first):
  """torch.optim.SGD with momentum of one array whose gradient is None before step `first`."""
  v, seen = 0 * w, []
  for step, g in enumerate(gradients):
    if step >= first:
      v = 0.9 * v + g + DECAY * w
      w = w - RATE * v
    seen.append(w)
  return seen


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_frozen_leaves_have_no_moments_no_count_and_no_decay(name):
  oracle = {"adamw": adamw, "sgd": sgd}[name]
  start, gradients = tree(0), [tree(seed) for seed in range(1, STEPS + 1)]
  optimizer = optim.build(name, RATE, DECAY, b2=B2, frozen=((PATTERN, FROZEN),))
  seen, state = trained(optimizer, start, gradients)
  for path, first in (("h", 0), ("last", FROZEN)):
    wanted = oracle(start[path]["kernel"], [g[path]["kernel"] for g in gradients], first)
    for got, want in zip(seen, wanted, strict=True):
      np.testing.assert_allclose(got[path]["kernel"], want, rtol=1e-4, atol=1e-5)
  plain = optim.build(name, RATE, DECAY, b2=B2).init(seen[0])
  assert jax.tree.structure(state) == jax.tree.structure(plain), "older checkpoints fit"


@pytest.mark.parametrize("name", ["lars", "lars_outside", "larc", "adam", "lamb"])
def test_frozen_leaves_go_as_if_the_run_began_when_they_thaw(name):
  start, gradients = tree(0), [tree(seed) for seed in range(1, STEPS + 1)]
  optimizer = optim.build(name, RATE, DECAY, exclude="none", frozen=((PATTERN, FROZEN),))
  seen, _ = trained(optimizer, start, gradients)
  later, _ = trained(optim.build(name, RATE, DECAY, exclude="none"), start, gradients[FROZEN:])
  for params in seen[:FROZEN]:
    np.testing.assert_array_equal(params["last"]["kernel"], start["last"]["kernel"].astype("f4"))
  for a, b in zip(seen[FROZEN:], later, strict=True):
    np.testing.assert_allclose(a["last"]["kernel"], b["last"]["kernel"], rtol=1e-5, atol=1e-6)


def test_steps_are_those_of_the_run_where_several_batches_make_an_update():
  start, gradients = tree(0), [tree(seed) for seed in range(1, 13)]
  options = {"b2": B2, "frozen": ((PATTERN, 4),), "plain_accumulation": 2}
  seen, _ = trained(optim.build("adamw", RATE, DECAY, **options), start, gradients)
  means = [(a["last"]["kernel"] + b["last"]["kernel"]) / 2 for a, b in zip(*[iter(gradients)] * 2)]  # noqa: B905
  wanted = adamw(start["last"]["kernel"], means, 2)
  np.testing.assert_allclose(seen[-1]["last"]["kernel"], wanted[-1], rtol=1e-4, atol=1e-5)


def test_without_frozen_leaves_adam_is_optax_bit_for_bit():
  start, gradients = tree(0), [tree(seed) for seed in range(1, STEPS + 1)]
  ours, _ = trained(optim.build("adam", RATE), start, gradients)
  theirs, _ = trained(optax.adam(RATE), start, gradients)
  jax.tree.map(np.testing.assert_array_equal, ours[-1], theirs[-1])
