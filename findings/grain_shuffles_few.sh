#!/bin/sh
# Grain's shuffle takes longer for an image the fewer images there are: of ten it costs more than to
# decode them, and a window of ten a hundred times what a window of a thousand does.
#
# Version:  grain 0.2.18, the newest, Python 3.11 or newer.
# Expected: the place of an image in a shuffled epoch is found in a time that hardly depends on the
#           number of images.
# Seen:     about 11 ms divided by the number of images, for each image: 5.6 ms of 2, 1.1 ms of 10,
#           0.18 ms of 100, 20 us of 1,000, 3 us from 60,000 on. Attempts to overfit ten images,
#           few-shot sets under repeat() and window shuffles of small windows pay it at every image.
# Why:      `index_shuffle` permutes at least 2**16 places and goes from place to place until it
#           meets one that is within the set: 65,536 / n steps on average.
# For us:   contrastive_jax/data/order.py permutes a few more places than there are images, and
#           computes 16,384 of them at once.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check grain==0.2.18
"$work/env/bin/python" - <<'PYTHON'
import time

import grain


def microseconds(dataset, count):
  """Returns the CPU time of an element, over `count` elements from the start."""
  start = time.process_time()
  for place in range(count):
    dataset[place]
  return 1e6 * (time.process_time() - start) / count


few = {}
for images, count in ((2, 100), (10, 300), (100, 2000), (1000, 10000), (65536, 10000)):
  epochs = grain.MapDataset.range(images).repeat()
  plain = microseconds(epochs, count)
  few[images] = microseconds(grain.MapDataset.range(images).shuffle(seed=0).repeat(), count)
  print(f"{images:6} images: {few[images]:8.1f} us an image shuffled, {plain:6.1f} us in order")
window = grain.experimental.WindowShuffleMapDataset
small, large = (
  microseconds(window(grain.MapDataset.range(10000), window_size=size, seed=0), 300)
  for size in (10, 1000)
)
print(f"windows of 10: {small:.1f} us an image, of 1,000: {large:.1f} us")
assert few[2] > 100 * few[65536] and few[10] > 20 * few[65536], few
assert small > 10 * large, (small, large)
print("as described")
PYTHON
