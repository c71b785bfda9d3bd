#!/bin/sh
# augmax turns images one way only, blurs half as much as asked and moves the image by half a pixel,
# crops beyond the border and leaves hue as it is, without a word.
#
# Version:  augmax 0.4.1, the newest, on jax 0.10.2; Python 3.11 or newer.
# Expected: Rotate((-30, 30), p=0.5) turns half of the images, by angles of the whole range.
#           GaussianBlur(sigma) has that standard deviation in pixels and the image stays in place.
#           RandomSizedCrop, whose `prevent_underzoom` is on by default, stays within the image.
#           ColorJitter changes hue if told to change hue.
# Seen:     Rotate turns half of them, all by 0 to 30 degrees, none by less than 0; with p=0.2 by 18 to 30
#           alone. GaussianBlur(2) has a standard deviation of 0.91 and moves what it blurs by half a
#           pixel against the mask, as every whole sigma does. Of crops of 224 from images of 256, two
#           views in five have black borders. ColorJitter(brightness=0, contrast=0, saturation=0.4,
#           hue=0.1, p=1) returns the image. (That saturation is never changed is known: pull request
#           12 of khdlr/augmax.)
# Why:      the coin of Rotate and its angle come from one key, and bernoulli is uniform < p, so
#           that the angle tells the coin. The blur lays N = 2 sigma places, an even number, over -2..2.
#           The least zoom is compared with a logarithm. The jitter makes a key for each strength
#           above 0 and gives them out in the order of all four, zeros included.
# For us:   augmax is not used. A coin and what it decides on have keys of their own in
#           contrastive_jax/augment, and ranges, variances and coins are counted (tests/augment/
#           test_color.py, test_filters.py, test_crop.py).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  augmax==0.4.1 jax==0.10.2 jaxlib==0.10.2
JAX_PLATFORMS=cpu "$work/env/bin/python" - <<'PYTHON'
import augmax
import jax
import jax.numpy as jnp
import numpy as np

keys = jax.random.split(jax.random.key(1), 300)


def views(operation, image):
  chain = augmax.Chain(operation)
  return np.asarray(jax.jit(jax.vmap(lambda key: chain(key, image)))(keys))


hand = np.zeros((65, 65, 1), np.float32)
hand[32, 50:62] = 1  # of a clock, at 0 degrees
rows, columns = np.mgrid[:65, :65] - 32
for p in (1.0, 0.5, 0.2):
  turned = views(augmax.Rotate((-30, 30), p=p), hand)[..., 0]
  angles = np.degrees(np.arctan2((turned * rows).sum((1, 2)), (turned * columns).sum((1, 2))))
  moved = angles[abs(angles) > 1e-3]
  share, least, most = len(moved) / len(angles), moved.min(), moved.max()
  print(f"Rotate, p={p}: {share:.0%} turned, by {least:.0f} to {most:.0f} degrees")
  assert abs(share - p) < 0.1 and 25 < most < 30.5
  assert abs(least - (30 - 60 * p)) < 5, least  # the upper part of the range, as large as p

point = np.zeros((41, 41, 1), np.float32)
point[20, 20] = 1
for sigma in (1, 2, 3):
  profile = views(augmax.GaussianBlur(sigma, p=1.0), point)[0, ..., 0].sum(0)
  centre = (profile * np.arange(41)).sum()
  deviation = np.sqrt((profile * (np.arange(41) - centre) ** 2).sum())
  print(f"GaussianBlur({sigma}): standard deviation {deviation:.2f}, from 20 to {centre:.2f}")
  assert deviation < 0.6 * sigma and abs(centre - 20.5) < 1e-3

white = jnp.ones((256, 256, 1))
chain = augmax.Chain(augmax.RandomSizedCrop(224, 224))
lost = jax.jit(lambda keys: jax.lax.map(lambda key: (chain(key, white) < 0.5).any(), keys))(keys[:100])
print(f"RandomSizedCrop: {float(lost.mean()):.0%} of the views reach beyond the image")
assert float(lost.mean()) > 0.2

image = jax.random.uniform(jax.random.key(0), (8, 8, 3))
for brightness in (0.1, 0.0):
  jitter = augmax.ColorJitter(brightness, contrast=0.0, saturation=0.4, hue=0.1, p=1.0)
  change = abs(views(jitter, image) - image).max()
  print(f"ColorJitter, brightness {brightness}, hue 0.1: largest change {change:.0e}")
  assert (change > 0.01) == (brightness > 0)
print("as described")
PYTHON
