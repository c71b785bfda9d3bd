#!/bin/sh
# litdata and MDS keep the numbers of a palette image and lose its palette: every GIF and every PNG of 256
# colours comes back black.
#
# Version:  litdata 0.2.76 and mosaicml-streaming 0.13.0, both the newest, with torch 2.14.1 and pillow
#           13.0.0, Python 3.11 or newer. It installs torch as it is on PyPI: 6 GB of a temporary folder.
# Expected: the image that was given, or a refusal of the mode, as for what they cannot keep.
# Seen:     an image of a red, a green and a blue third, opened from GIF or PNG, comes back from litdata's
#           optimize(), whose type for it is inferred, and from MDS's columns `pil` and `list[pil]`
#           with the right size and mode P, and is (0, 0, 0) everywhere as RGB; of a photograph in 256
#           colours a mean of 95 becomes 0. RGB, grey and 1-bit
#           images are right, so of a scraped set only some are black. Nothing is said.
# Why:      both write width, height, mode and tobytes(), which of mode P are places in a palette, and read
#           them by Image.frombytes, whose palette is empty. MDS's `png` column keeps it. No report
#           of it was found.
# For us:   neither is read here. Palettes are looked up when an image is decoded, transparency included
#           (contrastive_jax/data/images.py; tests/data/test_folder.py -k palettes).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/torch"
TMPDIR=$work "$work/torch/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
  mosaicml-streaming==0.13.0 litdata==0.2.76 torch==2.14.1 torchvision==0.29.1 pillow==13.0.0
cat > "$work/palettes.py" <<'PYTHON'
import contextlib
import io
import os

import litdata
import numpy as np
from PIL import Image
from streaming import MDSWriter, StreamingDataset

FOLDER = os.environ["HOME"]
PLACES = 5, 15, 25


def path(name):
  return os.path.join(FOLDER, name)


def rows():
  """Returns the images of a row, as they are opened, by name."""
  names = ("flag.gif", "flag.png", "photo.png", "grey.png", "rgb.png", "bits.png")
  return {name.replace(".", "_"): Image.open(path(name)) for name in names}


def row(_):
  return rows()


def seen(image):
  """Returns the three colours of a flag and the mean over pixels, of the image as RGB."""
  pixels = np.asarray(image.convert("RGB"))
  return [tuple(map(int, pixels[5, x])) for x in PLACES], round(float(pixels.mean()))


def write_images():
  flag = np.zeros((10, 30, 3), np.uint8)
  for third in range(3):
    flag[:, 10 * third : 10 * third + 10, third] = 255
  slope = np.linspace(0, 255, 64).astype(np.uint8)
  photo = np.stack(np.broadcast_arrays(slope[:, None], slope[None], slope[:, None] // 4), -1)
  image = Image.fromarray(flag)
  for name in ("flag.gif", "flag.png"):
    image.quantize(3).save(path(name))
  Image.fromarray(photo).quantize(256).save(path("photo.png"))
  image.save(path("rgb.png"))
  image.convert("L").save(path("grey.png"))
  image.convert("1").save(path("bits.png"))


if __name__ == "__main__":
  write_images()
  wanted = {name: seen(image) for name, image in rows().items()}
  print("opened: ", wanted)
  assert wanted["flag_gif"][0] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)], wanted
  columns = {name: "pil" for name in wanted} | {"list": "list[pil]", "as_png": "png"}
  with MDSWriter(out=path("mds"), columns=columns) as writer:
    images = rows()
    writer.write(images | {"list": [images["flag_png"]], "as_png": images["flag_png"]})
  shard = StreamingDataset(local=path("mds"), batch_size=1)[0]
  assert seen(shard.pop("as_png")) == wanted["flag_png"]
  in_list = seen(shard.pop("list")[0])
  found = {"MDS": shard}

  with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    litdata.optimize(row, inputs=[0], output_dir=path("litdata"), chunk_bytes="64MB", num_workers=1)
  found["litdata"] = litdata.StreamingDataset(path("litdata"))[0]
  for library, images in found.items():
    of = {name: seen(images[name]) for name in wanted}
    print(f"{library:8}", of)
    for name in wanted:
      palette = name.startswith(("flag", "photo"))
      assert images[name].mode == Image.open(path(name.replace("_", "."))).mode
      assert of[name] == (([(0, 0, 0)] * 3, 0) if palette else wanted[name]), (name, of)
  assert in_list == ([(0, 0, 0)] * 3, 0), in_list
  print("as described")
PYTHON
export HOME="$work" TMPDIR="$work"
cd "$work"
"$work/torch/bin/python" -W ignore palettes.py 2> "$work/log" || { cat "$work/log"; exit 1; }
