#!/bin/sh
# Orbax and TensorStore read letters of a local path as more than letters: a checkpoint in a folder
# named `lr[0.1]`, or with a backslash, is saved without an error and cannot be restored.
#
# Version:  orbax-checkpoint 0.12.8, tensorstore 0.1.86, jax 0.10.2, Python 3.11 or newer, Linux.
# Expected: every name that the file system takes is that of a folder; or a refusal before writing.
# Seen:     `[`: save() returns and commits, and the parts of the arrays are never merged, since
#           Orbax looks for them with epath's glob, of whose pattern the brackets are a class: the
#           array is not found. A backslash: TensorStore takes it for a separator, and the arrays
#           are in another folder (`a\b` writes into `a/b`), with the same end. `**`: save() raises
#           NotImplementedError after it has written all arrays. `?` and `*` match themselves, and
#           work while nothing else beside matches.
# For us:   workdirs of sweeps have such names. contrastive_jax/workdir/earlier.py gives Orbax a
#           link with a plain path wherever a letter may mean more (tests/workdir/test_names.py).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  orbax-checkpoint==0.12.8 tensorstore==0.1.86 jax==0.10.2
JAX_PLATFORMS=cpu "$work/env/bin/python" - "$work" <<'PYTHON'
import os
import sys

import numpy as np
import orbax.checkpoint as ocp
from etils import epath

tree = {"w": np.arange(6.0)}


def tried(name):
  """Saves and restores in a folder of that name; says what came of either."""
  folder = os.path.join(sys.argv[1], "runs", name)
  os.makedirs(folder)
  path, found = epath.Path(folder) / "model", []
  with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
    for act in (
      lambda: checkpointer.save(path, args=ocp.args.StandardSave(tree)),
      lambda: checkpointer.restore(path, args=ocp.args.StandardRestore(tree)),
    ):
      try:
        act()
        found.append("done")
      except Exception as error:
        found.append(type(error).__name__)
  print(f"{name!r}: saving {found[0]}, restoring {found[1]}", flush=True)
  return tuple(found)


assert tried("plain") == ("done", "done")
assert tried("lr[0.1]") == ("done", "ValueError")
assert tried("a\\b") == ("done", "ValueError")
assert os.listdir(os.path.join(sys.argv[1], "runs", "a", "b")), "written beside the folder"
assert tried("x**y")[0] == "NotImplementedError"
print("as described")
PYTHON
