#!/bin/sh
# On a CPU the gradients of a convolution take many times as long inside a loop of a program.
#
# Version:  jax 0.10.2 on a CPU, Python 3.11 or newer.
# Expected: lax.map over two batches, or two micro-batches in a scan, takes as long as the gradients
#           of the two batches one after the other.
# Seen:     outside of a loop XLA turns the convolution of a gradient into the order of axes that its
#           CPU library takes; in the body of a loop it stays as it was and runs in a slow form:
#           gradients of kernel and images together, a 3x3 of 64 channels over 32 images of 16 px,
#           take 2.3 s of CPU time for 0.06 s. The forward pass takes 13 ms in both.
# For us:   contrastive_jax/models/convolution.py writes both gradients in that order. A step of
#           quickstart in four micro-batches took 7.6 s of CPU time before and 0.33 s after.
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


def conv(x, kernel):
  axes = ("NHWC", "HWIO", "NHWC")
  return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=axes)


def gradients(x, kernel):
  return jax.grad(lambda x, k: jnp.sum(jnp.sin(conv(x, k))), (0, 1))(x, kernel)


forms = {}
for name, of_one in (("forward", conv), ("gradients", gradients)):
  forms[name, "loop"] = jax.jit(lambda x, k, f=of_one: jax.lax.map(lambda x: f(x, k), x))
  forms[name, "in a row"] = jax.jit(lambda x, k, f=of_one: [f(x[0], k), f(x[1], k)])
x = jax.random.normal(jax.random.key(0), (2, 32, 16, 16, 64))
kernel = jax.random.normal(jax.random.key(1), (3, 3, 64, 64))
taken = {key: [] for key in forms}
for turn in range(6):
  for key, form in forms.items():
    start = time.process_time()
    jax.block_until_ready(form(x, kernel))
    if turn:  # the first one compiles
      taken[key].append(time.process_time() - start)
ratios = {}
for name in ("forward", "gradients"):
  loop, row = (statistics.median(taken[name, form]) for form in ("loop", "in a row"))
  ratios[name] = loop / row
  print(f"{name:10} loop {1e3 * loop:7.1f} ms of CPU time, in a row {1e3 * row:7.1f}")
print({name: round(ratio, 2) for name, ratio in ratios.items()})
assert ratios["gradients"] > 3, ratios
assert ratios["forward"] < 2, ratios
print("as described")
PYTHON
