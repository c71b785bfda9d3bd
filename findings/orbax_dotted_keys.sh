#!/bin/sh
# Orbax saves two arrays of a tree into one place if the keys of one, joined by dots, are the other's
# key: one of the two comes back as a copy of the other.
#
# Version:  orbax-checkpoint 0.12.8, the newest, jax 0.10.2, Python 3.11 or newer.
# Expected: {"layer4": {"bias": a}, "layer4.bias": b} comes back as it was, or save() refuses it: such
#           names meet where what is known of layers lies beside them under PyTorch's dotted names.
# Seen:     save() returns, the checkpoint is committed, and restore() gives one array twice (which
#           of the two changed from run to run), with or without a tree to restore into. Arrays that
#           differ in shape raise. The new orbax.checkpoint.v1 raises for both.
# Why:      the name under which an array is stored is its path of keys with dots between.
# For us:   the names in our own checkpoints are made alike, and a memory of such keys was lost alike:
#           now two arrays of one name are refused before anything is written
#           (contrastive_jax/workdir/state_files.py, tests/workdir/test_state_files.py).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  orbax-checkpoint==0.12.8 jax==0.10.2 jaxlib==0.10.2
JAX_PLATFORMS=cpu "$work/env/bin/python" - "$work" <<'PYTHON'
import pathlib
import sys

import jax
import numpy as np
import orbax.checkpoint as ocp

root = pathlib.Path(sys.argv[1])
alone = {"layer4": {"bias": np.zeros(2)}, "layer4_bias": np.ones(2)}
dotted = {"layer4": {"bias": np.zeros(2)}, "layer4.bias": np.ones(2)}


def back(name, tree):
  with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(root / name, tree)
    checkpointer.wait_until_finished()
    found = checkpointer.restore(root / name, tree)
  print(f"{name}: saved {jax.tree.map(np.ndarray.tolist, jax.tree.map(np.asarray, tree))}")
  print(f"{name}: found {jax.tree.map(np.ndarray.tolist, jax.tree.map(np.asarray, found))}")
  return [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(found)]


assert back("alone", alone) == [[0, 0], [1, 1]]
for name, tree in (("numpy", dotted), ("jax", jax.tree.map(jax.numpy.asarray, dotted))):
  first, second = back(name, tree)
  assert first == second and first in ([0, 0], [1, 1]), (first, second)
print("as described")
PYTHON
