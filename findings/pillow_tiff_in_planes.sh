#!/bin/sh
# Pillow 13.0.0 mixes the channels of TIFFs up whose planes lie one after the other.
#
# Version:  pillow 13.0.0 (a wheel, with its libtiff), tifffile 2026.3.3 to write, numpy 2.4.6;
#           Python 3.11.
# Expected: the values that were written (of 16 bits the upper 8), as tifffile reads them.
# Seen:     colour of 16 bits (RGB, RGBA) that is not packed, and grey with alpha of 8 bits that is,
#           come with other values, without a word. Packed colour of 16 bits is right, so is colour of
#           8 bits; grey with alpha that is not packed raises "unknown raw mode".
# Why:      TiffImagePlugin.py (_setup) takes for plane i the letter i of the raw mode, and so of
#           "RGB;16L" the raw mode "R", which is that of 8 bits: it reads half of each row for a whole
#           one. Why packed grey with alpha is wrong was not looked into.
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

VALUES = np.random.default_rng(0).integers(0, 256, (12, 9, 4), np.uint8)


def read(channels, bits, compression):
  """Returns what Pillow reads of planes; None where it reads nothing."""
  stored = np.moveaxis(VALUES[..., :channels], -1, 0)
  stored = stored.astype(np.uint16) * 257 if bits == 16 else stored
  options = {"photometric": "minisblack" if channels == 2 else "rgb"}
  if channels in (2, 4):
    options["extrasamples"] = ["unassalpha"]
  buffer = io.BytesIO()
  tifffile.imwrite(buffer, stored, planarconfig="separate", compression=compression, **options)
  assert (tifffile.imread(io.BytesIO(buffer.getvalue())) == stored).all()
  try:
    return np.asarray(Image.open(buffer))
  except ValueError as error:
    assert "unknown raw mode" in str(error)
    return None


for channels, bits in ((3, 8), (4, 8), (2, 8), (3, 16), (4, 16)):
  for compression in (None, "zlib"):
    found = read(channels, bits, compression)
    off = None if found is None else abs(found - VALUES[..., :channels].astype(int)).max()
    seen = "not read" if off is None else f"off by {off}"
    print(f"{channels} planes of {bits} bits, {compression or 'not packed'}: {seen}")
    if channels == 2:
      assert seen == "not read" if compression is None else seen != "off by 0"
    else:
      assert (seen == "off by 0") == (bits == 8 or compression is not None)
print("as described")
PYTHON
