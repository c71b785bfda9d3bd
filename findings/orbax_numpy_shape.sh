#!/bin/sh
# Orbax restores a NumPy array in the shape it was saved in, whatever shape is asked for, and turns
# integers into smaller ones by their lower bits.
#
# Version:  orbax-checkpoint 0.12.8, its StandardCheckpointer and the new orbax.checkpoint.v1 alike,
#           jax 0.10.2, Python 3.11 or newer.
# Expected: an array saved as 4 numbers and asked for as 2, as 7 or as 2 x 2 is refused, as it is where
#           a jax.Array is asked for (ValueError: "Requested shape: (2,) is not compatible"). A type
#           that cannot hold what was saved is refused, too.
# Seen:     asked for as NumPy, all of them give the 4 numbers, without a word, also of what was saved
#           as a jax.Array: a queue or a memory bank saved at one size comes into a run of another.
#           int32 asked for as int8 gives 44 for 300 and, as uint8, 251 for -5; int64 as int32, NumPy
#           or on a device, gives 0 for 2**40.
# Why:      NumpyHandler.deserialize reads the type of what is asked for, and not its shape; TensorStore's
#           cast of an integer keeps its lower bits. (That types are cast is documented.)
# For us:   only checkpoints of 0.1 are read by Orbax, as NumPy. One of another shape or type is refused
#           by what its manifest says, before it is read (contrastive_jax/workdir/state_files.py,
#           tests/workdir/test_earlier.py).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  orbax-checkpoint==0.12.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
JAX_PLATFORMS=cpu "$work/env/bin/python" - "$work" 2> "$work/log" <<'PYTHON' \
  || { cat "$work/log" >&2; exit 1; }
import pathlib
import sys

import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import v1

root = pathlib.Path(sys.argv[1])
saved = {"host": np.array([1, 300, -5, 2**40]), "device": jnp.array([1, 300, -5, 70000])}
with ocp.StandardCheckpointer() as checkpointer:
  checkpointer.save(root / "v0", saved)
v1.save_pytree(root / "v1", saved)


def old(asked):
  with ocp.StandardCheckpointer() as checkpointer:
    return checkpointer.restore(root / "v0", asked)


def new(asked):
  return v1.load_pytree(root / "v1", asked)


for name, restore in (("StandardCheckpointer", old), ("v1", new)):
  print(name)
  for shape in ((2,), (7,), (2, 2)):
    found = restore({k: np.zeros(shape, v.dtype) for k, v in saved.items()})
    print("  NumPy of", shape, "->", {k: v.tolist() for k, v in found.items()})
    assert all(np.array_equal(v, saved[k]) and v.shape == (4,) for k, v in found.items()), found
  try:
    restore(saved | {"device": jnp.zeros(2, jnp.int32)})
    raise AssertionError("a jax.Array of another shape is not refused")
  except ValueError as error:
    print("  jax.Array of (2,) ->", str(error).split(".")[0])
  cast = {}
  for zeros in (np.zeros, jnp.zeros):
    for kind in (np.int8, np.uint8, np.int32):
      found = restore({k: zeros(4, kind) for k in saved})
      assert all(v.dtype == kind for v in found.values())
      cast[zeros, kind] = found["host"].tolist()
  print("  as int8, uint8, int32 ->", *list(cast.values())[:3])
  expected = [1, 44, -5, 0], [1, 44, 251, 0], [1, 300, -5, 0]
  assert tuple(cast.values()) == expected * 2, cast
print("as described")
PYTHON
