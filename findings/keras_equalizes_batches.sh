#!/bin/sh
# Keras's Equalization takes one histogram of a whole batch: a dark image beside a bright one stays dark, and
# what comes of an image depends on those that are beside it.
#
# Version:  keras 3.15.1, the newest, on jax 0.10.2, pillow 13.0.0 to compare with, Python 3.11 or newer.
# Expected: each image of a batch is equalised by its own histogram, as one of them alone is, as Keras's
#           AutoContrast does with a batch, and as ImageOps.equalize, torchvision and kornia equalise. The
#           documentation speaks of "independently on each color channel".
# Seen:     an image with values from 0 to 63 alone comes out from 0 to 255, in a batch with one from 192 to
#           255 it ends at 127, and that one begins at 128; beside 15 bright ones it ends at 16. RandAugment
#           and AugMix call it. The layer works at inference too, where the last batch, or one of another
#           size, changes what is seen of an image. In contrastive learning a view tells of the others in its
#           batch. Nothing is said.
# Why:      equalization.py takes images[..., i], which is the channel of all images, for a channel. The
#           images of a batch in its tests are all of one kind. No report of it was found.
# For us:   Keras is not used. A view depends on nothing else in its batch (tests/augment/test_views.py).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  keras==3.15.1 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 pillow==13.0.0
export HOME="$work" KERAS_BACKEND=jax JAX_PLATFORMS=cpu
"$work/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
from keras.layers import AutoContrast, Equalization
from PIL import Image, ImageOps

random = np.random.default_rng(0)
dark = random.integers(0, 64, (256, 256, 3)).astype(np.uint8)
bright = dark + 192


def within(*images, layer=Equalization):
  """Returns the least and the greatest value of each image of a batch of these."""
  made = np.asarray(layer()(np.stack(images).astype(np.float32)))
  return [(round(float(x.min())), round(float(x.max()))) for x in made]


pillow = np.asarray(ImageOps.equalize(Image.fromarray(dark)))
print("dark by Pillow     ", pillow.min(), pillow.max())
assert pillow.min() == 0 and pillow.max() > 250
for name, images, right in (
  ("dark alone", [dark], [(0, 255)]),
  ("bright alone", [bright], [(0, 255)]),
  ("dark, bright", [dark, bright], [(0, 127), (128, 255)]),
):
  found = within(*images)
  print(f"{name:19}", found)
  assert np.abs(np.subtract(found, right)).max() <= 2, found
assert within(dark, bright, layer=AutoContrast) == [(0, 255)] * 2
found = within(dark, *[bright] * 15)
print("dark, 15 bright ones", found[:2])
assert found[0][1] <= 17 and found[1][0] >= 15, found
print("as described")
PYTHON
