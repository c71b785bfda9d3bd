#!/bin/sh
# jnp.histogram counts no further than the type of its data can: every bin of bfloat16 features stops at 256,
# of float16 at 2,048, of float32 and of 8-bit images at 16,777,216.
#
# Version:  jax 0.10.2 on a CPU, the newest that Python 3.11 can have.
# Expected: the numbers of values in each bin, as numpy.histogram gives them as int64, and as jnp.histogram2d
#           and jnp.histogramdd give them as int32.
# Seen:     20,000 normal values in 10 bins, of which the fullest has 5,849: in bfloat16 six bins have 256 and
#           all together 1,863, in float16 four have 2,048. density=True is as flat (0.17 in six bins, for
#           0.36 at most) and its integral is 1, so that nothing shows. 300 images of 256 x 256 as uint8, most
#           of them black, have 16,777,216 zeros for 18,350,080; int32 likewise. Compiled or not; nothing is
#           said.
# Why:      the weights are ones of the type of the data (float32 for integers), and are added up one by one
#           in that type, in which 256 + 1 is 256. The other two add integers. The documentation shows whole
#           numbers with a point and names no limit. No report of it was found.
# For us:   the histogram of a report is made by NumPy on the host (contrastive_jax/report/drawings.py); no
#           other is.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
export HOME="$work" JAX_PLATFORMS=cpu
"$work/env/bin/python" -W ignore - <<'PYTHON'
import jax
import jax.numpy as jnp
import numpy as np

BINS, RANGE = 10, (-4.0, 4.0)
values = jnp.asarray(np.random.default_rng(0).normal(size=20_000), jnp.float32)


def counted(data, bins=BINS, between=RANGE):
  """Returns the counts of jnp.histogram, and the right ones by NumPy and by jnp.histogramdd."""
  found = jnp.histogram(data, bins, between)[0]
  compiled = jax.jit(lambda x: jnp.histogram(x, bins, between)[0])(data)
  assert (found == compiled).all()
  flat = data.ravel().astype(jnp.float32)
  right = np.histogram(np.asarray(flat), bins, between)[0]
  other = jnp.histogramdd(flat[:, None], bins, (between,))[0]
  assert (np.asarray(other) == right).all()
  return np.asarray(found.astype(jnp.float32)).astype(int), right


for dtype, most in ((jnp.bfloat16, 256), (jnp.float16, 2048), (jnp.float32, None)):
  data = values.astype(dtype)
  found, right = counted(data)
  dense, edges = jnp.histogram(data, BINS, RANGE, density=True)
  dense = dense.astype(jnp.float32)
  print(dtype.__name__, found.tolist(), "right", right.tolist(), "density", dense.max())
  if most is None:
    assert (found == right).all()
    continue
  assert found.max() == most and (found[right > 1.1 * most] == most).all(), found
  assert abs((dense * jnp.diff(edges).astype(jnp.float32)).sum() - 1) < 0.02
  assert dense.max() < 0.75 * right.max() / right.sum() / (edges[1] - edges[0])

images = np.zeros((300, 256, 256), np.uint8)
images[:20] = 200
for dtype in (jnp.uint8, jnp.int32):
  found, right = counted(jnp.asarray(images, dtype), 4, (0, 256))
  print(dtype.__name__, found.tolist(), "right", right.tolist())
  assert found.tolist() == [2**24, 0, 0, 1_310_720] and right[0] == 18_350_080
print("as described")
PYTHON
