#!/bin/sh
# On a CPU the gradient of a linear layer with few outputs takes ten times as long as it need.
#
# Version:  jax 0.10.2 and 0.12.0.1 on a CPU; the latter with Python 3.12, the former 3.11 or newer.
# Expected: the gradient of `x @ w` by w [F, C] takes as long as that of `x @ w.T` by w [C, F]: it
#           is the same sums, and both forms give the same bits.
# Seen:     4,096 rows of 3,072 numbers and ten outputs take 28 ms of CPU time for w [F, C] and
#           2.8 ms for w [C, F]. The first is a product of the transposed rows with few columns, for
#           which XLA's CPU library packs all rows anew; a transpose that is written into the
#           program is folded back into that form. The forward pass takes as long in both.
# For us:   linear probes keep a class a row (contrastive_jax/evaluation/linear_steps.py and
#           logistic.py): SGD's takes half as long for it, docs/results/evaluation.md. The gradient
#           of a convolution of one pixel has its narrower side in front
#           (contrastive_jax/models/convolution.py).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2
JAX_PLATFORMS=cpu "$work/env/bin/python" - <<'PYTHON'
import statistics
import time

import jax
import jax.numpy as jnp

ROWS, FEATURES, OUTPUTS = 4096, 3072, 10


def column(w, x, g):
  return jnp.vdot(x @ w, g)


def row(w, x, g):
  return jnp.vdot(x @ w.T, g)


forms = {
  "[F, C]": (column, jnp.zeros((FEATURES, OUTPUTS))),
  "[C, F]": (row, jnp.zeros((OUTPUTS, FEATURES))),
}
x = jax.random.normal(jax.random.key(0), (ROWS, FEATURES))
g = jax.random.normal(jax.random.key(1), (ROWS, OUTPUTS))
calls = {
  (what, name): (jax.jit(make(form)), w)
  for name, (form, w) in forms.items()
  for what, make in (("forward", lambda form: form), ("gradient", jax.grad))
}
taken, found = {key: [] for key in calls}, {}
for turn in range(8):
  for key, (call, w) in calls.items():
    start = time.process_time()
    found[key] = jax.block_until_ready(call(w, x, g))
    if turn:  # the first one compiles
      taken[key].append(1e3 * (time.process_time() - start))
ms = {key: statistics.median(times) for key, times in taken.items()}
for key, value in ms.items():
  print(*key, f"{value:.1f} ms of CPU time")
ratios = {what: ms[what, "[F, C]"] / ms[what, "[C, F]"] for what in ("forward", "gradient")}
print({what: round(ratio, 2) for what, ratio in ratios.items()})
apart = jnp.abs(found["gradient", "[F, C]"] - found["gradient", "[C, F]"].T).max()
assert apart < 1e-3, apart
assert ratios["gradient"] > 3, ratios
assert ratios["forward"] < 2, ratios
print("as described")
PYTHON
