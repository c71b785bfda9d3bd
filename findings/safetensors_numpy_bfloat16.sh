#!/bin/sh
# safetensors 0.8.0 saves a NumPy array of bfloat16 and cannot load what it has saved.
#
# Version:  safetensors 0.8.0, numpy 2.4.6, ml_dtypes as jax 0.10.2 brings it; Python 3.11.
# Expected: safetensors.numpy.load(safetensors.numpy.save({"a": x})) has x, for every type that
#           `save` takes; or `save` refuses what `load` does not know.
# Seen:     KeyError: 'BF16', from safetensors.flax.load too. The file is right: safe_open reads it.
# Why:      safetensors/numpy.py writes the type by its name (so ml_dtypes' bfloat16 passes) and reads
#           it by a table that has no BF16.
# For us:   checkpoints are written and read without the library (workdir/part_files.py).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  safetensors==0.8.0 numpy==2.4.6 ml_dtypes==0.6.0
"$work/env/bin/python" - <<'PYTHON'
import ml_dtypes
import numpy as np
import safetensors.numpy

saved = safetensors.numpy.save({"a": np.arange(3).astype(ml_dtypes.bfloat16)})
print("saved:", saved[8:])
try:
  print(safetensors.numpy.load(saved))
except KeyError as error:
  print("loaded: KeyError", error)
  print("as described")
PYTHON
