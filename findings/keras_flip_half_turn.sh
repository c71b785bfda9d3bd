#!/bin/sh
# Keras's RandomFlip, by default in both directions, never mirrors an image: it leaves it, or turns it upside
# down by half a turn.
#
# Version:  keras 3.15.1, the newest, on jax 0.10.2, Python 3.11 or newer. 3.6.0 to 3.8.0 have the same lines.
# Expected: RandomFlip(), whose default is "horizontal_and_vertical", tosses a coin for each direction, as
#           torchvision's RandomHorizontalFlip and RandomVerticalFlip in a row do: an image stays, is
#           mirrored left to right, top to bottom, or both, a quarter each.
# Seen:     of 4,000 images 2,006 stay, 1,994 are flipped both ways, none one way alone. Such a half turn keeps
#           left and right hands apart, so that a network which should not tell an image from its mirror
#           image, as of cells, galaxies or tiles of the earth, never sees one. RandomFlip("horizontal") and
#           RandomFlip("vertical") in a row have all four, unless both are given the same seed: then
#           it is the half turn again.
# Why:      random_flip.py draws once for each image and asks the one draw in both directions. No report of
#           it was found.
# For us:   Keras is not used. Each operation has a key of its own, and no draw tells of another
#           (contrastive_jax/augment, tests/augment/test_recipes.py -k tells).
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
from keras.layers import RandomFlip

IMAGES = 4000
image = np.arange(48, dtype=np.float32).reshape(4, 4, 3)  # no two of its values are equal
ways = {
  "as it was": image,
  "left to right": image[:, ::-1],
  "top to bottom": image[::-1],
  "both": image[::-1, ::-1],
}


def counted(*layers):
  """Returns how many of the images come out in each of the four ways."""
  x = np.repeat(image[None], IMAGES, 0)
  for layer in layers:
    x = layer(x, training=True)
  x = np.asarray(x)
  found = {name: int((x == way).all((1, 2, 3)).sum()) for name, way in ways.items()}
  assert sum(found.values()) == IMAGES, found
  return list(found.values())


keras.utils.set_random_seed(0)
found = {
  "RandomFlip()": counted(RandomFlip()),
  "RandomFlip(seed=0)": counted(RandomFlip(seed=0)),
  "one after the other": counted(RandomFlip("horizontal"), RandomFlip("vertical")),
  "the same, seeds 0, 0": counted(RandomFlip("horizontal", seed=0), RandomFlip("vertical", seed=0)),
  "the same, seeds 0, 1": counted(RandomFlip("horizontal", seed=0), RandomFlip("vertical", seed=1)),
}
print("of", IMAGES, "images", list(ways))
for name, counts in found.items():
  print(f"{name:22}", counts)
for name in ("RandomFlip()", "RandomFlip(seed=0)", "the same, seeds 0, 0"):
  stay, across, down, both = found[name]
  assert across == down == 0 and abs(stay - both) < IMAGES / 10, name
for name in ("one after the other", "the same, seeds 0, 1"):
  assert all(abs(count - IMAGES / 4) < IMAGES / 20 for count in found[name]), name
print("as described")
PYTHON
