#!/bin/sh
# An image opened from a file and then shrunk or painted over in place goes into a Hugging Face dataset, an
# MDS shard or a litdata chunk as the file has it: full size, and what was blacked out is there again.
#
# Version:  datasets 5.2.0; mosaicml-streaming 0.13.0 and litdata 0.2.76 with torch 2.14.1, all three the
#           newest; pillow 13.0.0, Python 3.11 or newer. It installs torch as it is
#           on PyPI: 6 GB of a temporary folder.
# Expected: what is given to a writer is what comes back: Pillow's thumbnail(), paste() and ImageDraw change
#           the image that they are called on.
# Seen:     a file of 400 x 300, after thumbnail((100, 100)): 400 x 300 from datasets, through from_dict,
#           from_generator, and map() over an imagefolder, of JPEG and of PNG; from MDS's `jpeg` column,
#           while its `png` column has 100 x 75; from litdata, whose type for it is inferred. Painted
#           black, it has a brightness of 127 in all three. A copy() first, and all is right; a map()
#           over images that came as bytes, as from the Hub, is right as well, so the same line of code
#           shrinks one set and not another. Nothing is said.
# Why:      an image that has a file name is written as that file: datasets keeps the path, the other two
#           read a JPEG's bytes so as not to compress it twice (pull request 142 of mosaicml/streaming).
#           Pillow's changes in place leave the name. No report of it was found.
# For us:   our readers get what such a set holds, and docs/data.md says so under "Parquet". `contrastive_jax
#           prepare` encodes the pixels that it decoded (contrastive_jax/data/one_shard.py).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
python3 -m venv "$work/torch"
"$work/env/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir datasets==5.2.0 pillow==13.0.0
TMPDIR=$work "$work/torch/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
  mosaicml-streaming==0.13.0 litdata==0.2.76 torch==2.14.1 torchvision==0.29.1 pillow==13.0.0
mkdir "$work/images"
cat > "$work/images.py" <<'PYTHON'
import os

import numpy as np
from PIL import Image, ImageDraw

FOLDER = os.environ["HOME"]


def path(kind):
  return os.path.join(FOLDER, "images", f"a.{kind}")


def shrunk(image):
  image.thumbnail((100, 100))
  return image


def painted(image):
  ImageDraw.Draw(image).rectangle((0, 0, *image.size), fill="black")
  return image


def opened(kind):
  return Image.open(path(kind))


def seen(image):
  """Returns the size and the brightness."""
  return image.size, round(float(np.asarray(image).mean()))


FULL, SMALL, BLACK = ((400, 300), 127), ((100, 75), 127), ((400, 300), 0)
if __name__ == "__main__":
  noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
  for kind in ("jpg", "png"):
    Image.fromarray(noise).save(path(kind))
PYTHON
cat > "$work/hub.py" <<'PYTHON'
import datasets
from images import BLACK, FOLDER, FULL, SMALL, opened, painted, seen, shrunk

datasets.disable_progress_bars()
features = datasets.Features({"image": datasets.Image()})


def first(images):
  return seen(datasets.Dataset.from_dict({"image": images}, features=features)[0]["image"])


folder = datasets.load_dataset("imagefolder", data_dir=f"{FOLDER}/images", split="train")
for kind in ("jpg", "png"):
  for name, change, wanted in (("shrunk", shrunk, SMALL), ("painted", painted, BLACK)):

    def rows(change=change, kind=kind):
      yield {"image": change(opened(kind))}

    made = datasets.Dataset.from_generator(rows, features=features, cache_dir=f"{FOLDER}/{kind}{name}")
    mapped = folder.map(lambda row, change=change: {"image": change(row["image"])})
    found = {
      "from_dict": first([change(opened(kind))]),
      "from_generator": seen(made[0]["image"]),
      "map": seen(mapped[int(kind == "png")]["image"]),
    }
    copy = first([change(opened(kind).copy())])
    print(f"datasets, {kind} {name:8}", found, "copied first:", copy)
    assert set(found.values()) == {FULL} and copy == wanted, (found, copy)

as_bytes = datasets.Dataset.from_dict({"image": [opened("png").copy()]}, features=features)
mapped = seen(as_bytes.map(lambda row: {"image": shrunk(row["image"])})[0]["image"])
print("datasets, map() over an image that came as bytes:", mapped)
assert mapped == SMALL, mapped
PYTHON
cat > "$work/shards.py" <<'PYTHON'
import contextlib
import io

import litdata
from images import BLACK, FOLDER, FULL, SMALL, opened, painted, seen, shrunk
from streaming import MDSWriter, StreamingDataset


def row(_):
  return {"small": shrunk(opened("jpg")), "black": painted(opened("jpg"))}


if __name__ == "__main__":
  columns = {"small": "jpeg", "black": "jpeg", "small_png": "png", "black_png": "png", "copy": "jpeg"}
  with MDSWriter(out=f"{FOLDER}/mds", columns=columns) as writer:
    copy = painted(opened("jpg").copy())
    writer.write({**row(0), **{f"{k}_png": v for k, v in row(0).items()}, "copy": copy})
  shard = {k: seen(v) for k, v in StreamingDataset(local=f"{FOLDER}/mds", batch_size=1)[0].items()}
  print("MDS", shard)
  wanted = {"small": FULL, "black": FULL, "small_png": SMALL, "black_png": BLACK, "copy": BLACK}
  assert shard == wanted, shard

  with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    litdata.optimize(row, inputs=[0], output_dir=f"{FOLDER}/litdata", chunk_bytes="64MB", num_workers=1)
  chunk = litdata.StreamingDataset(f"{FOLDER}/litdata")[0]
  chunk = {k: (tuple(v.shape[:0:-1]), round(float(v.float().mean()))) for k, v in chunk.items()}
  print("litdata", chunk)
  assert chunk == {"small": FULL, "black": FULL}, chunk
  print("as described")
PYTHON
export HOME="$work" TMPDIR="$work" HF_HUB_OFFLINE=1
cd "$work"
"$work/env/bin/python" images.py
"$work/env/bin/python" -W ignore hub.py
"$work/torch/bin/python" -W ignore shards.py 2> "$work/log" || { cat "$work/log"; exit 1; }
