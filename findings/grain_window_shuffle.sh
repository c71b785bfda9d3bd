#!/bin/sh
# Grain's window shuffle of a MapDataset drops images of the last window and gives others twice.
#
# Version:  grain 0.2.18, the newest, Python 3.11 or newer.
# Expected: an epoch of a shuffled set has every element once, as MapDataset.shuffle and the
#           window shuffle of an IterDataset give it.
# Seen:     unless the window divides the length, elements of the last window are lost: 68 of 1,000
#           with windows of 300, and 68 others come twice; the length is right, nothing is said.
#           Of a set smaller than the window any element may be lost. Under repeat() an epoch begins
#           in the middle of a window, and its first elements are what the one before left.
# Why:      transformations/shuffle.py permutes 0..window_size-1 in the last window, too, which
#           reaches beyond the length; an index beyond it is one of the next epoch.
# For us:   every epoch has every image once, tested for lengths from 1 on
#           (contrastive_jax/data/order.py, tests/data/test_order.py); Grain only runs ahead.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check grain==0.2.18
"$work/env/bin/python" - <<'PYTHON'
import collections

import grain
from grain.experimental import WindowShuffleIterDataset, WindowShuffleMapDataset


def seen(dataset, length):
  """Returns how many elements of an epoch are lost and how many come again."""
  counts = collections.Counter(int(x) for x in dataset)
  assert sum(counts.values()) == length and set(counts) <= set(range(length))
  return length - len(counts), sum(n - 1 for n in counts.values())


for length, window in ((1000, 250), (1000, 300), (10, 4), (5, 10)):
  images = grain.MapDataset.range(length)
  of_map = seen(WindowShuffleMapDataset(images, window_size=window, seed=1), length)
  of_iter = WindowShuffleIterDataset(images.to_iter_dataset(), window_size=window, seed=1)
  print(f"{length:5} elements, windows of {window:3}: {of_map[0]:3} lost, {of_map[1]:3} twice")
  assert seen(of_iter, length) == seen(images.shuffle(seed=1), length) == (0, 0)
  assert (of_map[0] > 0) == (length % window > 0), of_map
  if (length, window) == (1000, 300):
    assert of_map == (68, 68), of_map
images = WindowShuffleMapDataset(grain.MapDataset.range(7), window_size=3, seed=1).repeat(3)
print("three epochs of 7, windows of 3:", [int(x) for x in images])
print("as described")
PYTHON
