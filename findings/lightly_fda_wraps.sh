#!/bin/sh
# lightly's FDATransform makes what is bright black, and what is dark white: more than half of its views have pixels
# that passed the end of the range and began at the other one; where amplitudes are rescaled 44 % of all pixels did.
#
# Version:  lightly 1.6.0, the newest, torch 2.14.1 on a CPU, torchvision 0.29.1, scikit-learn 1.9.1 for a photograph,
#           numpy 2.4.6; Python 3.11 or newer. It installs torch as it is on PyPI: 6 GB of a temporary folder.
# Expected: an image whose spectrum is rescaled by 0.8 to 1.75, shifted or masked is cut off at black and white, as a
#           jitter of brightness is, or stays in floats.
# Seen:     a photograph of a palace, both views with their defaults at 96 px, but without the jitter, grey, blur and
#           mirror image that come later: in 57 % of 60 first views and 65 % of as many second ones more than a
#           hundredth of the pixels is off by more than 0.4 of the range, in those 17 and 12 % of all; at 224 px it is
#           so, too. By one operation alone: amplitudes, all views and 44 % of their pixels; the phase, 90 % and 6 %;
#           a mask of frequencies, 77 % and 7 %; the mixture of Gaussians, 32 % and 28 %. Without any of them none.
#           Each pixel is the lower byte of 255 times its float, to rounding. Nothing is said.
# Why:      fda_transform.py gives what the inverse Fourier transform returns, floats of -0.8 to 1.8, to ToPILImage,
#           which multiplies by 255 and takes the lower byte. No report of it was found.
# For us:   views stay floats, and each operation cuts its values off at 0 and 1 (contrastive_jax/augment/; tests/
#           augment/). docs/augmentation.md says what to do with lightly's.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
TMPDIR=$work "$work/env/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
  lightly==1.6.0 torch==2.14.1 torchvision==0.29.1 scikit-learn==1.9.1 numpy==2.4.6
HOME=$work "$work/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import torch
from lightly.transforms.fda_transform import FDAView1Transform, FDAView2Transform
from lightly.transforms.irfft2d_transform import IRFFT2DTransform
from PIL import Image
from sklearn.datasets import load_sample_image

torch.set_num_threads(1)
torch.manual_seed(0)
np.random.seed(0)
photo = Image.fromarray(load_sample_image("china.jpg"))
OFF = {"input_size": 96, "cj_prob": 0, "random_gray_scale": 0, "gaussian_blur": 0, "hf_prob": 0, "normalize": None}


def drawn(transform):
  """Returns a view before and after it is made an image again: floats as they are, and numbers of 0 to 1."""
  steps = transform.transform.transforms
  end = next(i for i, step in enumerate(steps) if isinstance(step, IRFFT2DTransform)) + 1
  x = photo
  for step in steps[:end]:
    x = step(x)
  y = x
  for step in steps[end:]:
    y = step(y)
  return x.numpy(), y.numpy()


def looked_at(name, transform, count=60):
  """Returns the share of views with wrapped pixels, and of pixels that wrapped in those."""
  views, pixels, low, high = 0, [], 0.0, 0.0
  for _ in range(count):
    before, after = drawn(transform)
    lower_byte = np.trunc(before * 255.0).astype(int) % 256 / 255
    assert np.mean(abs(after - lower_byte) < 1.5 / 255) > 0.995
    wrapped = abs(after - before.clip(0, 1)) > 0.4
    share = wrapped.any(axis=0).mean()
    low, high = min(low, before.min()), max(high, before.max())
    views += share > 0.01
    pixels += [share] if share > 0.01 else []
  mean = np.mean(pixels) if pixels else 0.0
  print(f"{name:28} {views / count:4.0%} of views, {mean:4.0%} of their pixels; floats from {low:.2f} to {high:.2f}")
  return views / count, mean


alone = {"ampl_rescale_prob": 0, "phase_shift_prob": 0, "rand_freq_mask_prob": 0, "gmm_prob": 0}
for name, view in (("first view", FDAView1Transform), ("second view", FDAView2Transform)):
  views, pixels = looked_at(name, view(**OFF))
  assert 0.4 < views < 0.9 and 0.06 < pixels < 0.35
for name, least, most in (
  ("ampl_rescale_prob", 0.95, 0.3),
  ("phase_shift_prob", 0.6, 0.03),
  ("rand_freq_mask_prob", 0.6, 0.03),
  ("gmm_prob", 0.1, 0.05),
):
  views, pixels = looked_at(name.removesuffix("_prob"), FDAView1Transform(**OFF, **(alone | {name: 1})))
  assert views > least and pixels > most
assert looked_at("none of them", FDAView1Transform(**OFF, **alone)) == (0, 0)
print("as described")
PYTHON
