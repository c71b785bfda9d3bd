#!/bin/sh
# The image processor of DINOv3 in transformers takes the numbers of a palette image for shades of grey, makes 1-bit
# images black, and gives 16-bit ones a mean of 580: a GIF or a small PNG has features of another picture.
#
# Version:  transformers 5.24.0, the newest, torch 2.14.1 and torchvision 0.29.1 on a CPU, pillow 13.0.0, numpy
#           2.4.6; Python 3.11 or newer. It installs torch as it is on PyPI: 6 GB of a temporary folder.
# Expected: an image that Pillow opens gives the pixel values of its convert("RGB"), as by the processors of CLIP,
#           SigLIP and DINOv2 (BitImageProcessor), or is refused, as by ViT's, BEiT's and ConvNeXt's.
# Seen:     DINOv3ViTImageProcessor: of an image in 256 colours the values are off by 1.8 in the mean, in
#           units of a standard deviation, and all three channels are of one picture, the order of its palette;
#           a 1-bit image is black everywhere; a 16-bit grey PNG has 580 in the mean. Grey images of 8 bits are
#           right, so of a folder only some files are wrong. The processors of EfficientNet and RF-DETR do the
#           same. do_convert_rgb=True mends palettes and 1 bit. Nothing is said.
# Why:      do_convert_rgb is not set for these models, so image_processing_backends.py takes np.array(image), one
#           channel of what Pillow stores, divides it by 255, and normalising by three means makes three channels
#           of it. The others that do not convert normalise a copy in place, which raises for one channel;
#           DINOv3's has divided before it resizes, and gets a new array. (That 16 bits turn white in those that
#           convert is Pillow's convert.) No report of it was found.
# For us:   palettes, 1 bit and 16 bits are turned into RGB when an image is decoded (contrastive_jax/data/images.py;
#           tests/data/test_folder.py -k palettes). Weights that go there: docs/weights.md says what to give it.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
TMPDIR=$work "$work/env/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
  transformers==5.24.0 torch==2.14.1 torchvision==0.29.1 pillow==13.0.0 numpy==2.4.6
export HOME="$work" HF_HUB_OFFLINE=1
"$work/env/bin/python" -W ignore - <<'PYTHON'
import io

import numpy as np
import torch
import transformers
from PIL import Image

torch.set_num_threads(1)
transformers.utils.logging.set_verbosity_error()
rows, columns = np.mgrid[:300, :400]
waves = [columns / 20, rows / 15 + 1, (rows + columns) / 9]
colour = Image.fromarray(np.stack([127 + 100 * np.sin(w) for w in waves], -1).astype(np.uint8))
grey = colour.convert("L")
deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)


def read(image, kind):
  """Returns an image as Pillow opens it from a file."""
  file = io.BytesIO()
  image.save(file, kind)
  return Image.open(file)


cases = {  # an image, and the RGB that it stands for
  "grey": (read(grey, "PNG"), grey.convert("RGB")),
  "palette": (read(colour.quantize(256), "PNG"), colour.quantize(256).convert("RGB")),
  "GIF": (read(colour.quantize(64), "GIF"), colour.quantize(64).convert("RGB")),
  "1 bit": (read(colour.convert("1"), "PNG"), colour.convert("1").convert("RGB")),
  "16 bits": (read(deep, "PNG"), grey.convert("RGB")),
}
print({name: image.mode for name, (image, _) in cases.items()})


def values(processor, image, **options):
  return processor(image, return_tensors="pt", **options)["pixel_values"][0]


found = {}
for name in ("CLIP", "Siglip", "Bit", "ViT", "ConvNext", "DINOv3ViT", "EfficientNet", "RfDetr"):
  processor = getattr(transformers, f"{name}ImageProcessor")()
  for case, (image, right) in cases.items():
    try:
      got = values(processor, image)
    except (RuntimeError, ValueError):
      found[name, case] = "refused"
      continue
    found[name, case] = (got - values(processor, right)).abs().mean().item()
  row = {case: found[name, case] for case in cases}
  print(f"{name:13}", {c: x if isinstance(x, str) else round(x, 2) for c, x in row.items()})
  if name in ("CLIP", "Siglip", "Bit"):
    assert all(found[name, case] < 0.1 for case in cases if case != "16 bits")
  elif name in ("ViT", "ConvNext"):
    assert set(row.values()) == {"refused"}
  else:
    assert found[name, "grey"] < 0.1 and found[name, "16 bits"] > 100
    assert all(found[name, case] > 1 for case in ("palette", "GIF", "1 bit"))
dino = transformers.DINOv3ViTImageProcessor()
mean, deviation = (torch.tensor(x)[:, None, None] for x in (dino.image_mean, dino.image_std))
picture = values(dino, cases["palette"][0]) * deviation + mean
assert (picture - picture[:1]).abs().max() < 1e-4  # one picture in all three channels
black = values(dino, cases["1 bit"][0]) * deviation + mean
print(f"1 bit: brightness up to {black.max():.4f} of 1; 16 bits: {values(dino, deep).mean():.0f} in the mean")
assert black.max() < 0.005
for case in ("palette", "GIF", "1 bit"):
  image, right = cases[case]
  assert (values(dino, image, do_convert_rgb=True) - values(dino, right)).abs().mean() < 0.1, case
print("as described")
PYTHON
