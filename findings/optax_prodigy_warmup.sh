#!/bin/sh
# optax's Prodigy and D-Adaptation, made to warm up from 0 as optax's own schedules do, have NaN weights after
# one and two steps; so they have after a first batch without a gradient.
#
# Version:  optax 0.2.8, the newest, jax 0.10.2 on a CPU, Python 3.11 or newer.
# Expected: contrib.prodigy(learning_rate) and contrib.dadapt_adamw(learning_rate) take a schedule, of which
#           the first value may be 0: warmup_cosine_decay_schedule(0.0, ...). Such a step changes nothing, as
#           it does by the authors' packages (prodigyopt 1.1.2, dadaptation 3.2), which then keep their
#           estimate, and by adamw, dog, dowg and lion.
# Seen:     12 weights that are drawn to a target: without a warm-up both get there; from 0 up Prodigy's are
#           NaN after the first step, D-Adaptation's after the second, all of them and for good. A first
#           gradient of 0 does the same without any schedule: no triplet breaks its margin, or the weight of a
#           loss begins at 0. prodigy(safeguard_warmup=True), made for learning rates that fall, survives the
#           warm-up and not the gradient. Nothing is said.
# Why:      the estimate is a quotient of two sums of gradients, each times the learning rate: 0/0, and the
#           maximum of that and the estimate so far is NaN. The authors' code asks first whether the lower one
#           or the learning rate is 0. No report of it was found.
# For us:   neither is an optimizer here. A warm-up begins at 0 unless told otherwise, and what divides by the
#           rate heeds that (contrastive_jax/optim/algorithms.py); a step that is not finite is skipped
#           (docs/reliability.md).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  optax==0.2.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
export HOME="$work" JAX_PLATFORMS=cpu
"$work/env/bin/python" -W ignore - <<'PYTHON'
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

STEPS = 300
target = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)
contrib = optax.contrib


def trained(optimizer, without=0):
  """Returns losses; the first `without` batches have no gradient."""

  def loss_of(weights, step):
    return jnp.where(step >= without, 1.0, 0.0) * ((weights - target) ** 2).sum()

  @jax.jit
  def step(weights, state, count):
    loss, gradient = jax.value_and_grad(loss_of)(weights, count)
    updates, state = optimizer.update(gradient, state, weights)
    return optax.apply_updates(weights, updates), state, loss

  weights = jnp.zeros_like(target)
  state = optimizer.init(weights)
  losses = []
  for count in range(STEPS):
    weights, state, loss = step(weights, state, count)
    losses.append(float(loss))
  return losses


def warm(peak):
  return optax.warmup_cosine_decay_schedule(0.0, peak, 10, 10 * STEPS)


for name, make, peak in (
  ("prodigy", contrib.prodigy, 1.0),
  ("dadapt_adamw", contrib.dadapt_adamw, 1.0),
  ("prodigy, safeguarded", functools.partial(contrib.prodigy, safeguard_warmup=True), 1.0),
  ("adamw", optax.adamw, 0.1),
  ("lion", optax.lion, 0.1),
  ("dog", contrib.dog, 1.0),
  ("dowg", contrib.dowg, 1.0),
):
  plain, warmed = trained(make(peak)), trained(make(warm(peak)))
  late = trained(make(peak), without=1)
  print(f"{name:21} last loss {plain[-1]:7.4f}, warmed up {warmed[-1]:7.4f}, first gradient 0: {late[-1]:7.4f}")
  authors = name in ("prodigy", "dadapt_adamw")
  assert plain[-1] < plain[0] / 10
  assert np.isnan(warmed[-1]) == authors and np.isnan(late[-1]) == (authors or "safe" in name)
  if authors:
    first = 1 if name == "prodigy" else 2
    assert set(warmed[:first]) == {plain[0]} and np.isnan(warmed[first:]).all(), warmed[:4]
print("as described")
PYTHON
