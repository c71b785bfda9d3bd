#!/bin/sh
# Equinox pools to one side: AdaptiveAvgPool2d makes large cells on the left and small ones on the right, so that an
# image and its mirror image have other features; AvgPool2d with use_ceil halves what is at the right and below.
#
# Version:  equinox 0.13.8, the newest, jax 0.10.2 on a CPU, numpy 2.4.6; Python 3.11 or newer.
# Expected: AdaptiveAvgPool2d(7) spreads its cells over the image, as PyTorch's of that name (for which issue 121 of
#           patrick-kidger/equinox asks): a cell of n columns begins at floor(i n / 7) and ends at
#           ceil((i + 1) n / 7), and mirror images have mirrored maps. A mean of ones is 1, as with PyTorch's
#           ceil_mode, which does not count what lies beyond the border.
# Seen:     11 columns: cells around columns 0.5, 2.5, 4.5, 6.5, 8, 9 and 10, four of two columns and three of one;
#           PyTorch's lie around 0.5, 2, 3.5, 5, 6.5, 8 and 9.5. Of normal numbers the map of the mirror image is off
#           the mirrored map by up to 2.1, by 0.6 for 20 columns; AdaptiveMaxPool2d does the same. What
#           the cells divide evenly, as 49 or 224, is right. AvgPool2d(2, 2, use_ceil=True), as in the shortcuts of
#           ResNet-D, of 25 x 25 ones: 0.5 in the last row and column, 0.25 in the corner. Nothing is said.
# Why:      _adaptive_pool1d gives the n mod 7 columns that are left over to the first cells, one each. AvgPool2d pads
#           with zeros for use_ceil and divides by the size of the kernel. The documentation says of the one "for the
#           target shape" and of the other that padding is added. No report of either was found.
# For us:   an evaluation that keeps a grid of places has PyTorch's cells (contrastive_jax/evaluation/pooling.py), and
#           the shortcuts of ResNet-D count what lies inside (contrastive_jax/models/resnet.py).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  equinox==0.13.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
export HOME="$work" JAX_PLATFORMS=cpu
"$work/env/bin/python" -W ignore - <<'PYTHON'
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np


def spread(x, cells, pool):
  """Returns what PyTorch's adaptive pooling gives of one H W array."""
  bounds = [[(i * n // cells, -(-(i + 1) * n // cells)) for i in range(cells)] for n in x.shape]
  return np.array([[pool(x[a:b, c:d]) for c, d in bounds[1]] for a, b in bounds[0]])


noise = np.random.default_rng(0).normal(size=(224, 224)).astype(np.float32)
pools = {"Avg": (eqx.nn.AdaptiveAvgPool2d, np.mean), "Max": (eqx.nn.AdaptiveMaxPool2d, np.max)}
for name, (layer, pool) in pools.items():
  for size, cells in ((224, 7), (49, 7), (11, 7), (13, 7), (20, 7), (8, 3)):
    x = noise[:size, :size]
    found = np.asarray(layer(cells)(jnp.asarray(x)[None]))[0]
    mirrored = np.asarray(layer(cells)(jnp.asarray(x[:, ::-1])[None]))[0]
    sides = abs(mirrored - found[:, ::-1]).max()
    other = abs(found - spread(x, cells, pool)).max()
    assert abs(spread(x[:, ::-1], cells, pool) - spread(x, cells, pool)[:, ::-1]).max() < 1e-6
    print(f"Adaptive{name}Pool2d({cells}) of {size}: {sides:.2f} off its mirror image, {other:.2f} PyTorch's")
    even = size % cells == 0
    assert (sides < 1e-5 and other < 1e-5) if even else (sides > 0.1 and other > 0.1)
columns = jnp.tile(jnp.arange(11.0), (1, 11, 1))
middles = np.asarray(eqx.nn.AdaptiveAvgPool2d(7)(columns))[0, 0].tolist()
right = spread(np.asarray(columns[0]), 7, np.mean)[0].tolist()
print("cells around", middles, "PyTorch's around", right)
assert middles == [0.5, 2.5, 4.5, 6.5, 8, 9, 10] and right == [0.5, 2, 3.5, 5, 6.5, 8, 9.5]

ones = jnp.ones((1, 25, 25))
edges = np.asarray(eqx.nn.AvgPool2d(2, 2, use_ceil=True)(ones))[0]
print(f"AvgPool2d(use_ceil=True) of ones: {edges.shape}, edge {edges[-1, 0]}, corner {edges[-1, -1]}")
assert edges.shape == (13, 13) and (edges[:-1, :-1] == 1).all()
assert (edges[-1, :-1] == 0.5).all() and (edges[:-1, -1] == 0.5).all() and edges[-1, -1] == 0.25
print("as described")
PYTHON
