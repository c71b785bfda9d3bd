#!/bin/sh
# Grain's runs of seeds 0 and 1 go through the same orders of images, an epoch apart, and draw the same
# random numbers, an image apart.
#
# Version:  grain 0.2.18, the newest, Python 3.11 or newer.
# Expected: runs of seeds 0, 1, 2, whose spread is published as that of chance, share no order.
# Seen:     IndexSampler, the sampler of its DataLoader, and MapDataset.shuffle(seed) of seed 1 go in epoch
#           e as those of seed 0 in epoch e + 1: of 100 epochs 99 are in common. The generator
#           that random transformations get for the i-th image of seed 1 is that of image i + 1 of
#           seed 0. `dataset.seed(0).shuffle()` and `dataset.seed(1).shuffle()` have orders of their own.
# Why:      an epoch is shuffled by the seed + epoch, and a generator made from the seed + place.
# For us:   the order of an epoch comes from a counter-based generator with seed and epoch in places
#           of their own (contrastive_jax/data/order.py); tests/data/test_order.py compares neighbours.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check grain==0.2.18
"$work/env/bin/python" - <<'PYTHON'
import grain
import grain.python as loader

IMAGES, EPOCHS = 500, 4


def of_sampler(seed):
  sampler = loader.IndexSampler(
    num_records=IMAGES,
    shard_options=loader.NoSharding(),
    shuffle=True,
    num_epochs=EPOCHS,
    seed=seed,
  )
  records = [sampler[place] for place in range(IMAGES * EPOCHS)]
  draws = [int(record.rng.integers(2**62)) for record in records]
  return [record.record_key for record in records], draws


def of_shuffle(seed):
  return [int(i) for i in grain.MapDataset.range(IMAGES).shuffle(seed=seed).repeat(EPOCHS)]


def of_seed(seed):
  return [int(i) for i in grain.MapDataset.range(IMAGES).seed(seed).shuffle().repeat(EPOCHS)]


def in_common(first, second):
  """Returns how many of the epochs of the one are epochs of the other."""
  starts = range(0, IMAGES * EPOCHS, IMAGES)
  epochs = [[order[start : start + IMAGES] for start in starts] for order in (first, second)]
  assert all(sorted(epoch) == list(range(IMAGES)) for part in epochs for epoch in part)
  return sum(epoch in epochs[1] for epoch in epochs[0])


(order_0, draws_0), (order_1, draws_1) = of_sampler(0), of_sampler(1)
found = {
  "IndexSampler": in_common(order_0, order_1),
  "shuffle(seed)": in_common(of_shuffle(0), of_shuffle(1)),
  "seed().shuffle()": in_common(of_seed(0), of_seed(1)),
}
for name, count in found.items():
  print(f"{name:17} of {EPOCHS} epochs of seeds 0 and 1 {count} are in the same order")
same = sum(a == b for a, b in zip(draws_0[1:], draws_1, strict=False))
print(f"random numbers of seed 1 that seed 0 drew for the next image: {same} of {len(draws_0) - 1}")
assert list(found.values()) == [EPOCHS - 1, EPOCHS - 1, 0], found
assert order_0[IMAGES:] == order_1[:-IMAGES], "an epoch apart"
assert same == len(draws_0) - 1, same
print("as described")
PYTHON
