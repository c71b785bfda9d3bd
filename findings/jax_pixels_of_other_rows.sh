#!/bin/sh
# Compiled for a CPU, jax 0.10.2 gives pixels another pixel's value: of a function of one colour, vmapped over the
# pixels of an image of 182 to 208 px in a row, the results from the 32,769th on are those of the pixels 128 before.
#
# Version:  jax 0.10.2 on an x86-64 CPU (AVX-512), the newest that Python 3.11 can have; 0.11.0, 0.11.2 and 0.12.0.1
#           are right; numpy 2.4.6 to compare with.
# Expected: vmap over rows [pixels, 3] gives what the same function gives for each row, for any number of rows.
# Seen:     for sum((matrix @ colour)^2), the energy of a colour in another colour space, results from row 32,768 on
#           are those of rows from 32,640 on, for 32,769 to 43,264 rows (tried: 32,769, 33,124, 36,864, 40,000 and
#           43,264; those of 224 px, 50,176 rows, are right, as are 25,600 of 160 px). A matrix of two rows does the
#           same. Two vmaps over [height, width, 3], an einsum over it, and colours @ matrix.T are right.
# Why:      the product and the sum become one fusion of XLA's CPU library; without such fusions
#           (XLA_FLAGS=--xla_cpu_experimental_ynn_fusion_type=) it is right. Issue 39103 of jax-ml/jax reports a wrong
#           last row.
# For us:   colours are changed by sums over channels of [..., height, width] (contrastive_jax/augment/color.py), and
#           benchmarks/fusions.py compares whole steps with and without these fusions.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
export HOME="$work" JAX_PLATFORMS=cpu
cat > "$work/pixels.py" <<'PYTHON'
import sys

import jax
import jax.numpy as jnp
import numpy as np

matrix = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])  # to YCbCr


def energy(colour):
  return jnp.sum((jnp.float32(matrix) @ colour) ** 2)


ways = {
  "vmap over all pixels": lambda x: jax.vmap(energy)(x.reshape(-1, 3)),
  "vmap over both sides": lambda x: jax.vmap(jax.vmap(energy))(x).ravel(),
  "colours @ matrix.T": lambda x: jnp.sum((x @ jnp.float32(matrix).T) ** 2, -1).ravel(),
}
for side in (160, 182, 192, 200, 208, 224):
  image = np.random.default_rng(0).random((side, side, 3))
  right = np.sum((image @ matrix.T) ** 2, -1).ravel()
  for name, way in ways.items():
    found = np.asarray(jax.jit(way)(jnp.float32(image)))
    wrong = np.flatnonzero(np.abs(found - right) > 1e-4)
    print(f"{side} px, {name}: {len(wrong)} of {side * side} wrong")
    if sys.argv[1] == "fused" and name == "vmap over all pixels" and 182 <= side <= 208:
      late = np.arange(32_768, side * side)
      assert len(wrong) > 0.95 * len(late) and wrong[0] >= 32_768
      assert np.allclose(found[late[:128]], right[late[:128] - 128], atol=1e-5)
    else:
      assert len(wrong) == 0, name
PYTHON
echo "as it is"
"$work/env/bin/python" "$work/pixels.py" fused
echo "without fusions"
XLA_FLAGS=--xla_cpu_experimental_ynn_fusion_type= "$work/env/bin/python" "$work/pixels.py" apart
echo "as described"
