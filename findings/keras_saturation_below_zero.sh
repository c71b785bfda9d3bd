#!/bin/sh
# Keras's RandomSaturation and RandomColorJitter give images from 0 to 255, their default range, pixels of -500
# as soon as they raise the saturation, and of -65,000 at the strongest.
#
# Version:  keras 3.15.1, the newest, on jax 0.10.2, Python 3.11 or newer.
# Expected: RandomSaturation((0.25, 0.75)), of which 0.5 changes nothing and "1.0 makes the image fully saturated",
#           gives images of its value_range, (0, 255), and the same for images and ranges divided by 255.
# Seen:     with value_range=(0, 1) it does. By default 13 % of the values of 200 random images are below 0,
#           down to -477; a factor of 0.6 alone gives down to -127.5, one of 1.0 down to -64,770 with two
#           values in three below 0. As 8-bit integers they wrap round. To clip them does not mend it: a pixel's
#           middle colour is wrong as well, by up to 168 at 0.75; RandomHue, which comes next in
#           RandomColorJitter, clips. Values above 255 there are none, and nothing is said.
# Why:      random_saturation.py clips S of HSV, which lies between 0 and 1 for images of any range, to the range of
#           the images. A lone float up to 0.5, as in its example, only lowers the saturation and stays in
#           range. No report of it was found.
# For us:   Keras is not used. S ends at 1 and values in [0, 1] after each operation, at any strength
#           (contrastive_jax/augment/color.py, tests/augment/test_color.py -k in_range).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  keras==3.15.1 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
export HOME="$work" KERAS_BACKEND=jax JAX_PLATFORMS=cpu
"$work/env/bin/python" -W ignore - <<'PYTHON'
import keras
import numpy as np
from keras import layers

bytes_ = np.random.default_rng(0).integers(0, 256, (200, 16, 16, 3), np.uint8)


def seen(layer, images):
  keras.utils.set_random_seed(0)
  return np.asarray(layer(images.astype(np.float32), training=True))


def told(name, views):
  least, below = views.min(), (views < -0.01).mean()
  print(f"{name:48} {least:10.1f} to {views.max():.1f}, {below:.0%} below 0")
  return least, views.max(), below


for factor in (0.3, 0.5):
  least, most, _ = told(f"RandomSaturation({factor})", seen(layers.RandomSaturation(factor), bytes_))
  assert least > -0.01 and most < 255.01
found = {}
for factor in ((0.25, 0.75), (0.6, 0.6), (0.75, 0.75), (1.0, 1.0)):
  whole = seen(layers.RandomSaturation(factor), bytes_)
  unit = 255 * seen(layers.RandomSaturation(factor, value_range=(0, 1)), bytes_ / 255)
  least, most, _ = found[factor] = told(f"RandomSaturation({factor})", whole)
  assert most < 255.01
  least, most, _ = told("  of images and range divided by 255, times 255", unit)
  assert least > -0.01 and most < 255.01
  off, right = abs(np.clip(whole, 0, 255) - unit), (whole > -0.01).all(-1)
  print(f"  clipped, still off by {off.max():.0f}; of pixels that are in range by {off[right].max():.2f}")
  assert off.max() > 10 and off[right].max() < 0.1
assert found[0.25, 0.75][0] < -400 and found[0.25, 0.75][2] > 0.1, found
assert -128 < found[0.6, 0.6][0] < -120 and found[1.0, 1.0][0] < -60000, found
jitter = layers.RandomColorJitter(saturation_factor=(0.25, 0.75))
assert told("RandomColorJitter(saturation_factor=(0.25, 0.75))", seen(jitter, bytes_))[0] < -400
print("as described")
PYTHON
