#!/bin/sh
# An array whose high byte comes first, as FITS and TIFF files give it, comes back as noise from Flax's to_bytes
# and from webdataset's `.ten`: 1.0 as 4.6e-41, the class 1 as 16,777,216.
#
# Version:  flax 0.12.8 and webdataset 1.0.2, both the newest, jax 0.10.2, numpy 2.4.6; astropy 8.0.2 for a FITS file,
#           and safetensors 0.8.0 beside them; Python 3.11 or newer; a processor of which the low byte comes first.
# Expected: from_bytes(target, to_bytes(tree)) and a sample of a tar shard have the numbers that were given, as
#           Orbax, safetensors, HDF5, numpy.save and webdataset's `.npy` give them back, or such an
#           array is refused, as jnp.asarray does.
# Seen:     every type of more than one byte comes back as the other order of its bytes: floats, integers, with
#           Flax complex numbers, by msgpack_serialize and msgpack_restore as well. A dark frame and classes from
#           a FITS file, kept beside the parameters, are noise after a restart: values around 1 become
#           numbers of any size, NaN among them, and classes 1 to 8 the multiples of 16,777,216. Shapes and
#           types are right and nothing is said.
# Why:      Flax's serialization.py writes dtype.name, which has no order of bytes ("float32" for ">f4"), and
#           webdataset's tenbin.py a short name of its own ("f4"), beside the bytes in the order they lie. Sums and
#           means are not affected: NumPy gives them in the order of the machine. No report of it was found.
# For us:   neither is used. A checkpoint holds arrays of JAX, which has no such type; images and
#           labels are turned round when they are read (contrastive_jax/data/pixels.py; tests/data/
#           test_npz.py -k high_byte).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  flax==0.12.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 astropy==8.0.2 safetensors==0.8.0 \
  webdataset==1.0.2
export HOME="$work" JAX_PLATFORMS=cpu
cd "$work"
"$work/env/bin/python" -W ignore - <<'PYTHON'
import sys

import jax.numpy as jnp
import numpy as np
import webdataset
from astropy.io import fits
from flax.serialization import from_bytes, msgpack_restore, msgpack_serialize, to_bytes
from safetensors.numpy import load, save



def through_tar(array):
  """Returns an array as the `.ten` and as the `.npy` of a sample."""
  with webdataset.TarWriter("shard.tar") as writer:
    writer.write({"__key__": "0", "ten": [array], "npy": array})
  (sample,) = webdataset.WebDataset("shard.tar", shardshuffle=False).decode()
  return sample["ten"][0], sample["npy"]


assert sys.byteorder == "little"
for kind in ("u2", "i4", "i8", "f2", "f4", "f8", "c8"):
  high, low = (np.arange(1, 5).astype(order + kind) for order in "><")
  found = from_bytes({"x": high}, to_bytes({"x": high}))["x"]
  print(f"{kind}: {high} came back as {found}")
  assert found.dtype == low.dtype and found.shape == low.shape and not np.isclose(found, high).any()
  for back in (found, msgpack_restore(msgpack_serialize({"x": high}))["x"]):
    np.testing.assert_array_equal(back, high.view(low.dtype))  # the same bytes
  np.testing.assert_array_equal(from_bytes(low, to_bytes(low)), low)
  if kind != "c8":  # which it refuses
    ten, npy = through_tar(high)
    assert np.array_equal(ten, found) and np.array_equal(npy, high), (ten, npy)
    assert np.array_equal(through_tar(low)[0], low)
  np.testing.assert_array_equal(load(save({"x": high}))["x"], low)
  try:
    jnp.asarray(high)
  except TypeError:
    continue
  raise AssertionError("JAX takes it")

frame = np.random.default_rng(0).normal(1, 0.01, (32, 32)).astype(np.float32)
classes = fits.BinTableHDU.from_columns([fits.Column("class", "J", array=np.arange(1, 9))])
fits.HDUList([fits.PrimaryHDU(frame), classes]).writeto("night.fits")
with fits.open("night.fits", memmap=False) as night:
  tree = {"w": jnp.ones(2), "dark": night[0].data, "class": night[1].data["class"]}
back = from_bytes(tree, to_bytes(tree))
for name, array in tree.items():
  print(f"{name:6}{str(array.dtype):8} {np.mean(array):.3g} in the mean, came back as {np.mean(back[name]):.3g}")
assert tree["dark"].dtype == ">f4" and tree["class"].dtype == ">i4"
assert np.array_equal(back["w"], tree["w"]) and np.array_equal(tree["dark"], frame)
noise = back["dark"]
print(f"of the frame {np.isnan(noise).mean():.1%} are NaN, {(abs(noise) < 1e-6).mean():.1%} less than 1e-6")
assert np.isnan(noise).any() and not np.isclose(noise, frame, atol=0.1).any()
assert back["class"].min() == 2**24 and back["class"].max() == 8 * 2**24
print("as described")
PYTHON
