#!/bin/sh
# Hugging Face's `imagefolder` takes a class called train for the training split: test images of that
# class are trained on, others are read twice, and a set without splits loses all other classes.
#
# Version:  datasets 5.2.0, the newest, with pillow 13.0.0; Python 3.11 or newer.
# Expected: train/CLASS/*.png and test/CLASS/*.png give two splits, CLASS/*.png one, as with
#           torchvision's ImageFolder, whatever the classes are called.
# Seen:     CIFAR-100 has a class `train`: its test images (test/train/*) are in both splits. With a
#           class `train_station` (Places365, SUN397) images of val/train_station are in the training
#           split and those of train/train_station are there twice. A class `test_tube` makes a split
#           `test` of training and validation images. Without splits above the classes, airport/,
#           beach/ and train_station/ are a set of train_station alone, without labels. No warning.
# Why:      a split is every file with its word anywhere below the folder, in a file's or a folder's
#           name, set off by a delimiter (train, training; val, valid, validation, dev; test,
#           testing, eval, evaluation), and a file counts once for each pattern that it meets. The
#           rule for names is in their documentation, and that a word in a file's name hides the
#           other files in their issue 5021; what it does below train/ and test/ in neither.
# For us:   data.source=folder takes a name for a split by itself alone and one floor deep, and
#           refuses what could be both (data/splits.py; tests/data/test_splits.py).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pillow==13.0.0
HF_HOME="$work/hf" HF_HUB_OFFLINE=1 "$work/env/bin/python" - "$work" <<'PYTHON'
import collections
import os
import sys

import datasets
from PIL import Image

datasets.disable_progress_bars()
IMAGES = 3  # in each folder


def splits(name, *folders):
  """Returns how many images of which folder each split has."""
  root = os.path.join(sys.argv[1], name)
  for folder in folders:
    os.makedirs(os.path.join(root, folder))
    for i in range(IMAGES):
      Image.new("RGB", (4, 4), (i, 0, 0)).save(os.path.join(root, folder, f"{i:04}.png"))
  found = {}
  for split, rows in datasets.load_dataset("imagefolder", data_dir=root).items():
    paths = [row["path"] for row in rows.cast_column("image", datasets.Image(decode=False))["image"]]
    count = collections.Counter(os.path.relpath(os.path.dirname(path), root) for path in paths)
    found[split] = dict(sorted(count.items()))
    print(f"{name:9}{split:11}{found[split]} {rows.features.get('label')}", flush=True)
  return found


found = splits("plain", "train/apple", "train/wolf", "test/apple", "test/wolf")
assert found == {
  "train": {"train/apple": 3, "train/wolf": 3},
  "test": {"test/apple": 3, "test/wolf": 3},
}, found
found = splits("cifar100", "train/apple", "train/train", "test/apple", "test/train")
assert found["test"] == {"test/apple": 3, "test/train": 3}, found
assert found["train"] == {"test/train": 3, "train/apple": 3, "train/train": 3}, found
places = [f"{split}/{name}" for split in ("train", "val") for name in ("airport", "train_station")]
found = splits("places", *places)
assert found["train"] == {
  "train/airport": 3,
  "train/train_station": 6,
  "val/train_station": 3,
}, found
found = splits("tubes", "train/abacus", "train/test_tube", "val/abacus", "val/test_tube")
assert found["test"] == {"train/test_tube": 3, "val/test_tube": 3}, found
found = splits("flat", "airport", "beach", "train_station")
assert found == {"train": {"train_station": 3}}, found
print("as described")
PYTHON
