#!/bin/sh
# TensorStore's Spec.to_json() never gives its memory back, and Orbax calls it for every array that
# it saves or restores.
#
# Version:  tensorstore 0.1.86, the newest, Python 3.11 or newer, Linux x86-64.
# Expected: the dictionary that it returns is freed with its last reference.
# Seen:     every call leaves 8 objects (the lists and dictionaries inside the result) with more
#           references than anybody holds, so no collection frees them: 3 kB a call for a small zarr
#           array. KvStore.Spec.to_json() keeps 0.75 kB a call. Orbax 0.12 asks the latter for each
#           leaf, and a long run's resident memory grows by the leaves of its state with every
#           checkpoint that it writes and reads back.
# For us:   the growth is measured (benchmarks/saves_rss.py) and told in docs/reliability.md; states
#           are read back without asking for their metadata, which would call it once more a leaf.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check tensorstore==0.1.86
"$work/env/bin/python" - <<'PYTHON'
import gc
import sys

import tensorstore as ts

metadata = {"shape": [64, 16], "chunks": [64, 16], "dtype": "<f4", "order": "C", "filters": None}
metadata |= {"compressor": {"id": "zstd", "level": 1}, "fill_value": None, "zarr_format": 2}
kvstore = {"driver": "memory", "path": "x/"}
spec = ts.Spec({"driver": "zarr", "kvstore": kvstore, "metadata": metadata})
CALLS = 2000


def alive():
  gc.collect()
  return len(gc.get_objects())


spec.to_json()
before = alive()
for _ in range(CALLS):
  spec.to_json()
left = (alive() - before) / CALLS
shape = spec.to_json()["metadata"]["shape"]
print(f"{left:.1f} objects left by a call; references to one of them: {sys.getrefcount(shape)}")
assert 7.5 < left < 8.5, left

store = ts.KvStore.Spec({"driver": "ocdbt", "base": {"driver": "file", "path": "/tmp/x/"}})
store.to_json()
blocks = sys.getallocatedblocks()
for _ in range(CALLS):
  store.to_json()
kept = (sys.getallocatedblocks() - blocks) / CALLS
print(f"KvStore.Spec: {kept:.1f} blocks of memory left by a call")
assert kept > 0.9, kept
assert sys.getrefcount(shape) > 2, "this name and the argument of getrefcount"
print("as described")
PYTHON
