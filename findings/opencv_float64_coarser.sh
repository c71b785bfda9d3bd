#!/bin/sh
# OpenCV 5 turns an image of float64 thousands of times less exactly than one of float32, and a scan of int16 less
# exactly than the same numbers as uint16: at an edge of 2,000 it is off by 33.
#
# Version:  opencv-python-headless 5.0.0.93, the newest, numpy 2.4.6, scipy 1.17.1 to compare with; Python 3.11 or
#           newer, x86-64. In 4.13.0.92 all types are as coarse.
# Expected: warpAffine, warpPerspective and remap with INTER_LINEAR give the same values for the same numbers,
#           up to the rounding of the type, and float64 is the most exact of all.
# Seen:     turned by 10 degrees, against linear interpolation in float64: float32 is off by 0.004 at most,
#           uint16 by 0.5, its rounding; int16 and float64 by 32 at an edge from 0 to 2,000, as of air
#           and bone in a CT scan, whose numbers are int16. Noise of 0 to 255 is off by 4.6. So
#           views of the same scan differ by how it was kept, and a more precise type makes it worse.
# Why:      places are rounded to 1/32 of a pixel, as in 4; 5.0 has kernels that do not, for uint8, uint16 and
#           float32 alone, which the documentation of the three functions does not say (they came with pull
#           request 25984 of opencv/opencv). Cubic and Lanczos round in every type. No report of it was found.
# For us:   OpenCV is not used. Images are resampled in float32, whatever was read (contrastive_jax/augment/
#           resize.py; tests/augment/test_resampling_precision.py).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  opencv-python-headless==5.0.0.93 numpy==2.4.6 scipy==1.17.1
"$work/env/bin/python" - <<'PYTHON'
import cv2
import numpy as np
from scipy import ndimage

SIZE, DEGREES = 64, 10
INSIDE = (slice(14, 50),) * 2  # where the turned image has no border
matrix = cv2.getRotationMatrix2D(((SIZE - 1) / 2,) * 2, DEGREES, 1)
back = cv2.invertAffineTransform(matrix)
rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float64)
x, y = (row[0] * columns + row[1] * rows + row[2] for row in back)
maps = x.astype(np.float32), y.astype(np.float32)
whole = np.vstack([matrix, [0, 0, 1]])
turns = {
  "warpAffine": lambda a: cv2.warpAffine(a, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR),
  "warpPerspective": lambda a: cv2.warpPerspective(a, whole, (SIZE, SIZE), flags=cv2.INTER_LINEAR),
  "remap": lambda a: cv2.remap(a, *maps, cv2.INTER_LINEAR),
}
images = {
  "noise": np.random.default_rng(0).integers(0, 256, (SIZE, SIZE)).astype(np.float64),
  "edge": np.where(columns < SIZE / 2, 0.0, 2000.0),
}
print(cv2.__version__)
for name, image in images.items():
  wanted = ndimage.map_coordinates(image, [y, x], order=1)
  for function, turned in turns.items():
    off = {}
    for kind in ("uint16", "float32", "int16", "float64"):
      assert np.array_equal(image.astype(kind), image)
      found = turned(image.astype(kind))
      assert found.dtype == kind
      off[kind] = np.abs(found - wanted)[INSIDE].max()
    print(f"{name:6}{function:16}", {kind: f"{value:.3f}" for kind, value in off.items()})
    assert off["float32"] < 0.01 and off["uint16"] < 0.51, off
    assert min(off["int16"], off["float64"]) > (25 if name == "edge" else 4), off
print("as described")
PYTHON
