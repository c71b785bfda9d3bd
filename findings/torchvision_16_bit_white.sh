#!/bin/sh
# torchvision turns what is white in a 16-bit image black: ToDtype(torch.uint16, scale=True) of 1.0 is 0, and
# so jitter of hue and gamma make holes of every overexposed spot.
#
# Version:  torchvision 0.29.1 with torch 2.14.1 on a CPU; the lines are those of 0.28.0 with torch 2.13.0 as
#           well. Python 3.11 or newer. It installs torch as it is on PyPI: 6 GB of a temporary folder.
# Expected: "Tensor images with an integer dtype are expected to have values in [0, MAX_DTYPE]", and those of
#           float values in [0, 1]: 1.0 becomes 65,535, as from float64 it does and as 1.0 becomes 255 and
#           32,767 for uint8 and int16, or the pair is refused, as float32 for int32 is. decode_image gives
#           16-bit PNGs as uint16.
# Seen:     0 for 1.0, 65,535 for the number below it. adjust_gamma(image, 1.0) and adjust_hue(image, 0.0),
#           which change nothing, make 0 of every 65,535: white is black, and a colour with one full channel
#           loses that one. ColorJitter(0.4, 0.4, 0.4, 0.1) does so in 32 of 60 views of an image with two
#           bright spots, those that still have a full channel when hue's turn comes, with hue=0 in none. As
#           uint8 or float32 the image is right. Nothing is said.
# Why:      to_dtype_image multiplies by 65,535 + 1 - 0.001, which in float32 is 65,536, and conversion keeps
#           the lower 16 bits. (That float16 and bfloat16 to uint8 overflow alike is known: issue 6799 of
#           pytorch/vision. Of float32 to uint16, which came later, no report was found.)
# For us:   torchvision is not used. Views are float32 from 16 bits on, and what is made 16 bits is rounded
#           and ends at 65,535 (contrastive_jax/data/images.py). docs/augmentation.md says what to give it.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
TMPDIR=$work "$work/env/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
  torch==2.14.1 torchvision==0.29.1 numpy==2.4.6
"$work/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

torch.set_num_threads(1)
WHITE = 65_535
below = float(np.nextafter(np.float32(1), np.float32(0)))


def turned(value, of, to):
  """Returns what ToDtype makes of one value."""
  return v2.ToDtype(to, scale=True)(torch.full((3, 1, 1), value, dtype=of))[0, 0, 0].item()


for of, to, value, right, found in (
  (torch.float32, torch.uint16, 1.0, WHITE, 0),
  (torch.float32, torch.uint16, below, WHITE, WHITE),
  (torch.float64, torch.uint16, 1.0, WHITE, WHITE),
  (torch.float32, torch.uint8, 1.0, 255, 255),
  (torch.float32, torch.int16, 1.0, 32_767, 32_767),
):
  print(f"{value:.8f} of {of} is {turned(value, of, to):6} as {to}, right {right}")
  assert turned(value, of, to) == found, (of, to)

random = np.random.default_rng(0)
image = np.kron(random.integers(0, 60_000, (3, 16, 16)), np.ones((1, 8, 8))).astype(np.uint16)
image[:, :20, :40] = WHITE  # a white spot
image[0, 100:, 60:] = WHITE  # and one that is red
image = torch.from_numpy(image)
for name, same in (
  ("adjust_gamma(1.0)", lambda x: functional.adjust_gamma(x, 1.0)),
  ("adjust_hue(0.0)", lambda x: functional.adjust_hue(x, 0.0)),
):
  made = same(image).to(torch.int32)
  off = (made - image.to(torch.int32)).abs()
  full = image == WHITE
  print(f"{name:18} white is {made[:, :20, :40].unique().tolist()}, all else off by {off[~full].max()}")
  assert (made[full] == 0).all() and off[~full].max() <= 2


def holes(hue):
  """Returns in how many of 60 views a pixel is off the float32 view's by half of the range or more."""
  count = 0
  jitter = v2.ColorJitter(0.4, 0.4, 0.4, hue)
  for seed in range(60):
    torch.manual_seed(seed)
    view = jitter(image).double()
    torch.manual_seed(seed)
    right = jitter(functional.to_dtype(image, torch.float32, scale=True)).double() * WHITE
    count += bool((view - right).abs().max() > WHITE / 2)
  return count


found = holes(0.1), holes(0.0)
print("views with holes, of 60:", found[0], "with hue=0:", found[1])
assert 10 < found[0] < 60 and found[1] == 0, found
print("as described")
PYTHON
