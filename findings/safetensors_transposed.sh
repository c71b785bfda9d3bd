#!/bin/sh
# safetensors 0.8.0 saves the memory of a transposed NumPy view as if it were in the order of its shape.
#
# Version:  safetensors 0.8.0, numpy 2.4.6; Python 3.11.
# Expected: safetensors.numpy.load(safetensors.numpy.save({"a": x.T}))["a"] equals x.T, or `save`
#           refuses what is not contiguous, as its PyTorch side does.
# Seen:     the shape of x.T and the numbers of x in their old order, without a word.
# Why:      safetensors/numpy.py takes the bytes of the array's memory and the shape of the view.
# For us:   a kernel turned from H W I O to O I H W would come back with the right shape and wrong
#           values. Every array is copied in order first (weights/safetensors_file.py), and files are
#           written without the library.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6
"$work/env/bin/python" - <<'PYTHON'
import numpy as np
import safetensors.numpy

turned = np.arange(6.0).reshape(2, 3).T
found = safetensors.numpy.load(safetensors.numpy.save({"a": turned}))["a"]
print("saved:", turned.tolist())
print("loaded:", found.tolist())
assert found.shape == turned.shape and not np.array_equal(found, turned)
print("as described")
PYTHON
