#!/bin/sh
# Compiled for a CPU, JAX sums a product with a constant matrix to garbage: the centred Gram matrix K - K 1 1'/n of
# CKA and HSIC, summed with another, is off by 20 and more powers of ten, or NaN, from 64 images on.
#
# Version:  jax 0.10.2 on an x86-64 CPU (AVX-512), the newest that Python 3.11 can have; 0.11.2 and 0.12.0.1 with
#           Python 3.12 do the same; numpy 2.4.6 to compare with.
# Expected: what NumPy gives, up to rounding, as the same lines do uncompiled, with 63 rows or fewer, with the
#           constant on the left, with a column of ones in place of a matrix, and without the sum after the product.
# Seen:     jit(sum((K - K @ full((n, n), 1 / n)) * L)), jit(sum(K @ ones((n, n)), -1)), the same with max in place of
#           sum, and an einsum of the same form are wrong for every n from 64 on that was tried (to 512). The constant
#           may be an argument that is broadcast. So is the sum over channels of a convolution with a kernel of one
#           number, of 17 channels or more. What comes out differs from process to process, most often above 1e20;
#           zeros were seen as well. Nothing is said.
# Why:      XLA gives the product and what is summed after it to its CPU library as one fusion, from 4,096 numbers on;
#           without such fusions (XLA_FLAGS=--xla_cpu_experimental_ynn_fusion_type=-LIBRARY_FUSION_TYPE_REDUCE) all is
#           right. Why the library is wrong was not read; that values differ suggests memory that was never written.
#           No report to JAX or XLA was found.
# For us:   no step of a method and no evaluation has a wrong value (benchmarks/fusions.py compares them with and
#           without these fusions); docs/devices.md tells those who write a loss of their own.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
export HOME="$work" JAX_PLATFORMS=cpu
cat > "$work/sums.py" <<'PYTHON'
import sys

import jax
import jax.numpy as jnp
import numpy as np

rng = np.random.default_rng(0)


def forms(n, np):
  """Name: what is computed of two matrices [n, n]."""
  ones = np.ones((n, n), np.float32)
  return {
    "sum of centred K times L": lambda k, l: ((k - k @ (ones / n)) * l).sum(),
    "sums of rows of K 1": lambda k, l: (k @ ones).sum(-1),
    "largest of rows of K 1": lambda k, l: (k @ ones).max(-1),
    "sums of rows of K 1 times L": lambda k, l: ((k @ ones) * l).sum(-1),
    "K 1 alone": lambda k, l: k @ ones,
    "1 K times L": lambda k, l: ((ones @ k) * l).sum(-1),
    "K times a column": lambda k, l: ((k @ ones[:, :1]) * l).sum(-1),
  }


for n in (32, 63, 64, 100, 256):
  k, l = np.abs(rng.normal(size=(n, n))), rng.normal(size=(n, n))
  for name, right in forms(n, np).items():
    compiled = jax.jit(forms(n, jnp)[name])(jnp.float32(k), jnp.float32(l))
    with jax.disable_jit():
      plain = forms(n, jnp)[name](jnp.float32(k), jnp.float32(l))
    wanted = right(k, l)
    off = [np.abs(np.float64(x) - wanted).max() / np.abs(wanted).max() for x in (compiled, plain)]
    wrong = not off[0] < 1e-3  # also NaN
    print(f"{n:4} {name:28} compiled off by {off[0]:8.1e}, not compiled {off[1]:8.1e}")
    assert off[1] < 1e-3, name
    assert wrong == (sys.argv[1] == "fused" and n >= 64 and "of" in name.split()), name
PYTHON
cat > "$work/blurred.py" <<'PYTHON'
import sys

import jax
import jax.numpy as jnp
import numpy as np

for channels in (16, 17, 64):
  images = np.random.default_rng(0).random((4, 16, 16, channels))

  def blurred(x, channels=channels):
    kernel = jnp.full((3, 3, channels, channels), 1 / 9)
    return jax.lax.conv_general_dilated(
      x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    ).sum(-1)

  windows = np.lib.stride_tricks.sliding_window_view(images.sum(-1), (3, 3), (1, 2))
  wanted = channels * windows.mean((-2, -1))
  off = np.abs(np.float64(jax.jit(blurred)(jnp.float32(images))) - wanted).max() / wanted.max()
  print(f"{channels:4} channels, blurred and summed: compiled off by {off:8.1e}")
  assert (not off < 1e-3) == (sys.argv[1] == "fused" and channels > 16)
PYTHON
echo "as it is"
"$work/env/bin/python" "$work/sums.py" fused
"$work/env/bin/python" "$work/blurred.py" fused
echo "without fusions that reduce"
export XLA_FLAGS=--xla_cpu_experimental_ynn_fusion_type=-LIBRARY_FUSION_TYPE_REDUCE
"$work/env/bin/python" "$work/sums.py" apart
"$work/env/bin/python" "$work/blurred.py" apart
echo "as described"
