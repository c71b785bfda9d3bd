#!/bin/sh
# Pillow 13.0.0 reads packed floats and signed integers in TIFFs that begin with the high byte as noise.
#
# Version:  pillow 13.0.0 (a wheel, with its libtiff), tifffile 2026.3.3 to write, numpy 2.4.6;
#           Python 3.11; a processor of which the low byte comes first.
# Expected: the values that were written, as without compression, and as tifffile reads them.
# Seen:     float32, int16 and int32 with byte order MM and Deflate or LZW come with their bytes in
#           the wrong order, without a word: 1.0 as 4.6e-41. uint16 is right, so is all with byte order II.
# Why:      libtiff gives values in the order of the processor. TiffImagePlugin.py (_setup, where
#           libtiff is used) therefore changes the raw modes I;16 and those ending in ;16B or ;16L to
#           native ones, and leaves I;16BS, I;32BS and F;32BF, by which bytes are swapped once more.
# For us:   such TIFFs are read by tifffile (data/pixels.py, extra scans).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
"$work/env/bin/python" - <<'PYTHON'
import io

import numpy as np
import tifffile
from PIL import Image


def read(values, **how):
  buffer = io.BytesIO()
  tifffile.imwrite(buffer, values, **how)
  assert (tifffile.imread(io.BytesIO(buffer.getvalue())) == values).all()
  return np.asarray(Image.open(buffer))


for kind in (np.uint16, np.int16, np.int32, np.float32):
  values = np.arange(1, 13).reshape(3, 4).astype(kind)
  for order in "<>":
    for compression in (None, "zlib"):
      found = read(values, byteorder=order, compression=compression)
      right = (found == values).all()
      print(kind.__name__, order, compression, "right" if right else f"1 is read as {found[0, 0]:g}")
      assert right == (kind is np.uint16 or order == "<" or compression is None)
print("as described")
PYTHON
