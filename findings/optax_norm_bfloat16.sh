#!/bin/sh
# optax's norm of many bfloat16 gradients stops growing, so that they are clipped too little; of a
# float16 gradient it is infinite from 256 on, and clipping makes zeros of it.
#
# Version:  optax 0.2.8 and jax 0.10.2, the newest, Python 3.11 or newer.
# Expected: global_norm of 600 arrays of norm 1 is 24.5, and clip_by_global_norm(1.0) leaves a norm
#           of 1, to the 8 bits of bfloat16.
# Seen:     the norm is 16.0, of 300 arrays as of 1,200, and what clip_by_global_norm(1.0) leaves has
#           norm 1.08, 1.53 and 2.17: with every layer a network has, it is clipped less. With
#           float16, a gradient of norm 500 is clipped to zeros, and the step does nothing. Nothing
#           is said; under jax.jit it is the same.
# Why:      each array's sum of squares is added to a total of the gradients' type: in bfloat16 256 + 1
#           is 256, and float16 ends at 65,504, the square of 256.
# For us:   weights, and so gradients and what is clipped, are float32 whatever `model.dtype` computes
#           in (tests/models/test_heads.py, test_vit.py), and float16 is refused.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  optax==0.2.8 jax==0.10.2 jaxlib==0.10.2
JAX_PLATFORMS=cpu "$work/env/bin/python" - <<'PYTHON'
import jax
import jax.numpy as jnp
import numpy as np
import optax

clip = optax.clip_by_global_norm(1.0)


def clipped(gradients):
  """Returns the norm as optax has it and the true one of what it has clipped to 1."""
  update, _ = clip.update(gradients, clip.init(gradients))
  squares = [(np.asarray(leaf, np.float64) ** 2).sum() for leaf in jax.tree.leaves(update)]
  return float(optax.global_norm(gradients)), sum(squares) ** 0.5


found = {}
for kind in (jnp.float32, jnp.bfloat16):
  for arrays in (100, 300, 600, 1200):
    gradients = [jnp.full(64, 1 / 8, kind)] * arrays  # each of norm 1
    norm, left = found[kind, arrays] = clipped(gradients)
    print(f"{kind.__name__:8} {arrays:5} arrays: norm {arrays**0.5:5.2f}, to optax {norm:5.2f}, ", end="")
    print(f"after clipping to 1 {left:.2f}")
for arrays in (100, 300, 600, 1200):
  norm, left = found[jnp.float32, arrays]
  assert abs(norm - arrays**0.5) < 1e-4 and abs(left - 1) < 1e-4, found
assert [found[jnp.bfloat16, n][0] for n in (100, 300, 600, 1200)] == [10, 16, 16, 16], found
assert found[jnp.bfloat16, 600][1] > 1.5 and found[jnp.bfloat16, 1200][1] > 2.1, found
compiled = jax.jit(optax.global_norm)([jnp.full(64, 1 / 8, jnp.bfloat16)] * 300)
norm, left = clipped([jnp.full(10**6, 0.5, jnp.float16)])
print(f"compiled, 300 arrays: {float(compiled)}; float16, norm 500: {norm}, after clipping {left}")
assert float(compiled) == 16 and norm == float("inf") and left == 0
print("as described")
PYTHON
