#!/bin/sh
# JAX compares and clips 8-bit integers with numbers that have wrapped round: of uint8 labels, labels < 256 is false
# for all of them and labels == -1 is true for class 255; jnp.clip(pixels, 0, 256) is 0 everywhere.
#
# Version:  jax 0.10.2 on a CPU, the newest that Python 3.11 can have (0.12.0.1 with Python 3.12 does the same),
#           numpy 2.4.6 to compare with.
# Expected: what NumPy gives for the same line and the same types: every uint8 is less than 256 and none is -1,
#           np.clip(pixels, 0, 300) leaves pixels as they are; where a number cannot be had in the type, as in
#           pixels + 300, OverflowError ("Python integer 300 out of bounds for uint8"). jnp.int32 raises
#           OverflowError as well, for 2**31.
# Seen:     labels < 256 and labels > -1 are false for all, as masks of "known classes" are written for 256
#           classes, labels == 256 is true for class 0 and labels == -1, the mark of "no label", for class 255.
#           Of int8, < 200 is true below -56 alone. jnp.clip(pixels, 0, 300) leaves nothing above 44 and
#           jnp.clip(pixels, 0, 256) nothing at all; clip(pixels, -1, 255) is 255. int16 wraps as well, at 32,768.
#           Compiled or not. Nothing is said.
# Why:      a Python integer takes the type of the array beside it and keeps its lower bits. The type is documented;
#           of numbers that the type cannot hold nothing was found. (Issue 15626 of jax-ml/jax, open, is about clip
#           of unsigned integers with -1. Of comparisons no report was found.)
# For us:   labels and numbers of images are int32 in every batch (contrastive_jax/data), and pixels are float32
#           before anything is compared with them (contrastive_jax/augment).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
export HOME="$work" JAX_PLATFORMS=cpu
"$work/env/bin/python" -W error - <<'PYTHON'
import jax
import jax.numpy as jnp
import numpy as np

every = np.arange(256, dtype=np.uint8)
signed = np.arange(-128, 128).astype(np.int8)
short = np.arange(-32768, 32768).astype(np.int16)
cases = {  # an array, what is asked, for how many it is true in JAX and in NumPy
  "labels < 256": (every, lambda x, np: x < 256, 0, 256),
  "labels < 300": (every, lambda x, np: x < 300, 44, 256),
  "labels > -1": (every, lambda x, np: x > -1, 0, 256),
  "labels == -1": (every, lambda x, np: x == -1, 1, 0),
  "labels == 256": (every, lambda x, np: x == 256, 1, 0),
  "int8 < 200": (signed, lambda x, np: x < 200, 72, 256),
  "int16 < 40000": (short, lambda x, np: x < 40_000, 7_232, 65_536),
}
for name, (x, asked, wrong, right) in cases.items():
  found = [int(asked(jnp.asarray(x), jnp).sum()), int(asked(x, np).sum())]
  compiled = int(jax.jit(lambda x, asked=asked: asked(x, jnp))(x).sum())
  print(f"{name:14} true for {found[0]:5} in JAX, {found[1]:5} in NumPy")
  assert found == [wrong, right] and compiled == wrong, name
assert int(jnp.asarray(every)[jnp.asarray(every) == -1][0]) == 255

for low, high, most in ((0, 300, 44), (0, 256, 0), (-1, 255, 255)):
  found = np.asarray(jnp.clip(jnp.asarray(every), low, high))
  kept = np.clip(every, low, high)
  print(f"clip {low} to {high}: {found.min()} to {found.max()} in JAX, {kept.min()} to {kept.max()} in NumPy")
  assert found.max() == most and (kept == every).all()
assert np.asarray(jnp.clip(jnp.asarray(every), -1, 255)).min() == 255
assert int((jnp.asarray(every) + 300)[0]) == 44
for refused in (lambda: every + 300, lambda: jnp.zeros(1, jnp.int32) < 2**31):
  try:
    refused()
  except OverflowError as error:
    print("refused:", str(error).splitlines()[0][:70])
  else:
    raise AssertionError("not refused")
print("as described")
PYTHON
