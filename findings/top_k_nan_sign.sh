#!/bin/sh
# Where jax.lax.top_k puts a NaN depends on the NaN's sign bit, and 0/0 on an x86 CPU has it set.
#
# Version:  jax 0.10.2 on a CPU (x86-64), Python 3.11 or newer.
# Expected: one place for NaN, as jnp.sort, jnp.argsort and jnp.argmax have (last, last, first found).
# Seen:     top_k follows the total order of the bits: a NaN with the sign bit clear, such as
#           jnp.nan, comes before every number, one with it set, such as 0/0, after every number.
#           So of two banks of features that both hold NaN rows, one makes every neighbour a NaN row
#           and the other hides them: 0 % or a good score, and neither says a word.
# For us:   features are looked at before they are compared; a row that is not finite is named.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2
JAX_PLATFORMS=cpu "$work/env/bin/python" - <<'PYTHON'
import jax
import jax.numpy as jnp
import numpy as np

zero = jnp.zeros(1)
divided = zero / zero
print("sign bits: jnp.nan", np.signbit(jnp.float32(jnp.nan)), " 0/0", np.signbit(divided)[0])
found = {}
for name, nan in (("jnp.nan", jnp.full(1, jnp.nan)), ("0/0", divided)):
  values = jnp.concatenate([jnp.array([1.0]), nan, jnp.array([3.0])])
  order = [int(i) for i in jax.lax.top_k(values, 3)[1]]
  found[name] = order, [int(i) for i in jnp.argsort(values)]
  print(f"{name:8}top_k of [1, nan, 3]: {order}  argsort: {found[name][1]}")
assert found["jnp.nan"] == ([1, 2, 0], [0, 2, 1]), found
assert found["0/0"] == ([2, 0, 1], [0, 2, 1]), found
print("as described")
PYTHON
