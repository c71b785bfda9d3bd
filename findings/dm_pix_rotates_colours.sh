#!/bin/sh
# dm-pix turns an image of the order C H W through its colours: by 10 degrees, a red image has green and
# blue rows.
#
# Version:  dm-pix 0.4.5, the newest, jax 0.10.2 on a CPU, Python 3.11 or newer.
# Expected: rotate(image, angle), whose documentation takes H W C or C H W, gives the same picture for
#           both, as flips, crops, blur and colours do with channel_axis, or refuses C H W.
# Seen:     of C H W the first two axes, colours and rows, are turned into each other and columns stay
#           where they are: by 10 degrees the upper rows of a red image are red, green and blue at
#           once, the lowest are black. The shape is right and nothing is said. rgb_to_hsl(image,
#           channel_axis=0) gives H W C back. (That random_flip_left_right, documented alike, turns
#           C H W upside down is known: pull request 116 of google-deepmind/dm_pix.)
# Why:      `rotate` has no channel_axis, and its matrix is one for axes 0 and 1.
# For us:   turns are by right angles, of H W C (contrastive_jax/augment/geometry.py; tests/augment/
#           test_filters.py compares them with NumPy's). What gets planes, C H W, from us are dm-pix's
#           colours, each with channel_axis (augment/color.py).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  dm-pix==0.4.5 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
JAX_PLATFORMS=cpu "$work/env/bin/python" - <<'PYTHON'
import dm_pix as pix
import jax
import jax.numpy as jnp
import numpy as np

image = jnp.asarray(np.random.default_rng(0).random((32, 32, 3)), jnp.float32)
quarter = pix.rotate(image, np.pi / 2)
assert np.allclose(quarter, np.rot90(image), atol=1e-5)

planes = image.transpose(2, 0, 1)
other = pix.rotate(planes, np.pi / 2).transpose(1, 2, 0)
print(f"C H W by 90 degrees, from rot90: {np.abs(other - np.rot90(image)).mean():.2f} of 1")
assert other.shape == image.shape and np.abs(other - np.rot90(image)).mean() > 0.2
flipped = pix.flip_left_right(planes, channel_axis=0).transpose(1, 2, 0)
assert np.array_equal(flipped, pix.flip_left_right(image))

red = jnp.zeros((3, 64, 64)).at[0].set(1.0)
turned = np.asarray(pix.rotate(red, np.pi / 18))
print("red, green and blue of its rows 0, 16, 32, 48:", turned[:, ::16, 0].T.round(2).tolist())
assert np.all(turned == turned[:, :, :1]) and turned[1, 0, 0] == 1 and turned[0, -1, 0] == 0
assert np.allclose(pix.rotate(red.transpose(1, 2, 0), np.pi / 18)[..., 1:], 0)

upside_down = pix.random_flip_left_right(jax.random.key(0), planes, probability=1.0)
assert np.array_equal(upside_down, planes[:, ::-1])
assert pix.rgb_to_hsl(planes, channel_axis=0).shape == image.shape
print("as described")
PYTHON
