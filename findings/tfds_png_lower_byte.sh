#!/bin/sh
# TFDS 4.9.10 without OpenCV gives the lower byte of a 16-bit PNG, without a word.
#
# Version:  tensorflow-datasets 4.9.10, numpy 2.4.6, pillow 13.0.0; Python 3.11; no OpenCV, no
#           TensorFlow. Reading a data source (`as_data_source`) decodes so.
# Expected: an image feature of the default type, uint8, given a 16-bit PNG raises, or gives the
#           upper bytes, as TensorFlow's decode_png does for uint8.
# Seen:     value 300 comes as 44, 256 * 11 + 15 as 15: shades wrap around. With dtype=uint16 it
#           raises ValueError ("PIL does not handle <class 'numpy.uint16'> images").
# Why:      features/image_feature.py turns what Pillow gives, int32 or uint16, into the feature's
#           type by a plain conversion, which keeps the lower byte.
# For us:   records are read with SkipDecoding and decoded by our own code (data/tfds.py), which
#           takes the range of values from the data (data/pixel_range.py).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow-datasets==4.9.10 importlib-resources numpy==2.4.6 pillow==13.0.0
"$work/env/bin/python" - <<'PYTHON'
import io

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

values, encoded = np.arange(12, dtype=np.uint16).reshape(3, 4) * 300, io.BytesIO()
Image.fromarray(values).save(encoded, "PNG")
feature = tfds.features.Image(shape=(None, None, 1), encoding_format="png")
found = feature.decode_example_np(encoded.getvalue())[..., 0]
print("in the file:", values.tolist())
print("from TFDS:  ", found.tolist())
assert (found == values % 256).all()
print("as described")
PYTHON
