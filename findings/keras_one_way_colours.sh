#!/bin/sh
# Keras's RandomContrast and RandomColorJitter never lower the contrast, its Solarization at half inverts three
# pixels in four, and its RandomGaussianBlur has one pair of widths for a whole batch.
#
# Version:  keras 3.15.1, the newest, on jax 0.10.2, Python 3.11 or newer.
# Expected: what the docstrings say. RandomContrast(0.4): factors from 1 - 0.4 to 1 + 0.4. Solarization with a
#           threshold_factor of (0.5, 0.5), as BYOL's: the upper half of the range is inverted.
#           RandomGaussianBlur(sigma=(0.1, 2.0)), as SimCLR's: a width is drawn for each image.
# Seen:     the factors of 4,000 images lie between 1.000 and 1.400, in RandomColorJitter as well; given as
#           (0.4, 0.4) they lie between 0.600 and 1.400. The threshold is drawn anew for each image, from 0.5
#           to 127.5, so that 75 % of a ramp is inverted for 50 %; addition_factor=(0.1, 0.1) adds 0.1 to
#           25.5 for 25.5. All images of a batch are blurred alike, by one width across and
#           another down: in half of the batches one is 1.8 times the other or more, a smear in one direction
#           in place of a blur. Nothing is said.
# Why:      a lone float is stored as (0, 0.4) by the base class, which 1 - lower and 1 + upper then take
#           from. In solarization.py the upper bound is multiplied by 255 and the lower is not.
#           random_gaussian_blur.py draws two numbers, for the two directions, without the size of the batch.
#           No report of any of the three was found.
# For us:   Keras is not used. What is drawn here lies in the stated ranges, solarisation inverts what Pillow's
#           does, and a view depends on nothing else in its batch (tests/augment/test_color.py, test_views.py).
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

IMAGES, BATCHES = 4000, 300
keras.utils.set_random_seed(0)


def views(layer, image, count=IMAGES):
  return np.asarray(layer(np.repeat(image[None], count, 0), training=True))


image = np.random.default_rng(0).uniform(96, 160, (8, 8, 3)).astype(np.float32)
around = image - image.mean((0, 1))  # RandomContrast goes by a channel's mean
found = {}
for layer in (
  layers.RandomContrast(0.4),
  layers.RandomColorJitter(contrast_factor=0.4),
  layers.RandomContrast((0.4, 0.4)),
):
  moved = views(layer, image) - image.mean((0, 1))
  factors = (moved * around).sum((1, 2, 3)) / (around**2).sum()
  least, most = factors.min(), factors.max()
  print(f"{layer.name}: factors {least:.3f} to {most:.3f}, {(factors < 0.999).mean():.0%} below 1")
  found[layer.name] = least, most
*single, pair = found.values()
assert all(abs(least - 1) < 5e-3 and abs(most - 1.4) < 5e-3 for least, most in single), found
assert abs(pair[0] - 0.6) < 5e-3 and abs(pair[1] - 1.4) < 5e-3, found

ramp = np.repeat(np.arange(256, dtype=np.float32).reshape(16, 16, 1), 3, 2)
inverted = (views(layers.Solarization(threshold_factor=(0.5, 0.5)), ramp) != ramp)[..., 0]
first = inverted.reshape(IMAGES, 256).argmax(1)
print(
  f"Solarization at (0.5, 0.5): {inverted.mean():.1%} inverted, from {first.min()}, "
  f"{np.median(first):.0f} in the median, {first.max()} at most"
)
assert abs(inverted.mean() - 0.75) < 0.02 and first.min() < 3 and first.max() == 128
dark = np.full((1, 1, 3), 1, np.float32)
bright = layers.Solarization(addition_factor=(0.1, 0.1), threshold_factor=(1.0, 1.0))
added = views(bright, dark)[..., 0] - 1
added = added[added < 100]  # others were solarised, since this threshold is drawn from 1 on as well
print(f"Solarization that adds (0.1, 0.1): {added.min():.1f} to {added.max():.1f} for 25.5")
assert added.min() < 0.3 and 25 < added.max() < 25.6

point = np.zeros((41, 41, 3), np.float32)
point[20, 20] = 255
places = np.arange(41) - 20
blur = layers.RandomGaussianBlur((1.0, 1.0), kernel_size=(23, 23), sigma=(0.1, 2.0))
widths = []
for _ in range(BATCHES):
  batch = views(blur, point, 64)[..., 0]
  assert (batch == batch[0]).all()  # 64 images, one blur
  spots = batch[0].astype(np.float64) / batch[0].sum()
  widths.append([np.sqrt((spots.sum(axis) * places**2).sum()) for axis in (0, 1)])
widths = np.array(widths)
ratios = widths.max(1) / np.maximum(widths.min(1), 0.1)
tie = np.corrcoef(widths.T)[0, 1]
print(
  f"RandomGaussianBlur: widths up to {widths.max():.2f}, alike in a batch, correlated by {tie:.2f} across "
  f"and down, one {np.median(ratios):.1f} times the other in the median"
)
assert widths.max() > 1.9 and abs(tie) < 0.3 and np.median(ratios) > 1.5
print("as described")
PYTHON
