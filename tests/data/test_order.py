"""The order of an epoch: every image once, uniform, the same everywhere, in constant memory."""

import collections
import itertools
import math
import tracemalloc

import numpy as np
import pytest
from host_batches import Sizes, train

from contrastive_jax.data import order, pipeline


def epochs(n, count, seed=0):
  """The orders of so many epochs, int [count, n]."""
  asked = {"num_images": n, "seed": seed, "name": "feistel"}
  return np.stack([order.at(0, n, epoch=epoch, **asked) for epoch in range(count)])


def assert_even(counts, expected, drawn=0.0):
  """A chi-square that is within five standard deviations of what chance gives.

  `counts` are of draws from a set of which the share `drawn` is drawn, none twice: they differ by
  that much less. Draws are seeded, so that the outcome is fixed.
  """
  free = counts.size - 1
  chi = ((counts - expected) ** 2 / expected).sum() / (1 - drawn)
  assert abs(chi - free) < 5 * math.sqrt(2 * free), (chi, free)


@pytest.mark.parametrize("n", [*range(1, 70), 2**14 - 1, 2**14, 2**14 + 1, 100_003])
def test_every_image_comes_once(n):
  (found,) = epochs(n, 1)
  assert found.dtype == np.int64
  assert np.array_equal(np.sort(found), np.arange(n))


@pytest.mark.parametrize("n", [1_281_167, 14_197_122, 300_000_000, 2**40 + 1])
def test_places_are_found_one_by_one_and_within_the_set(n):
  sizes = order.split(n)
  assert sizes[0] % 2 == 0 and n <= math.prod(sizes) < 1.001 * n
  asked = {"num_images": n, "seed": 5, "epoch": 9, "name": "feistel"}
  some = [*range(4), 2**14 - 1, 2**14, n // 2, n - 2, n - 1]
  one_by_one = np.concatenate([order.at(i, i + 1, **asked) for i in some])
  assert ((0 <= one_by_one) & (one_by_one < n)).all() and len(set(one_by_one)) == len(some)
  assert np.array_equal(order.at(0, 4, **asked), one_by_one[:4])
  across = order.at(2**14 - 1, 2**14 + 1, **asked)
  assert np.array_equal(across, one_by_one[4:6])
  assert len(order.at(7, 7, **asked)) == 0


def test_places_beyond_the_set_walk_on_and_nothing_is_lost():
  """Of a set whose pairs are far more than its images: 1,000 of 2 x 4,000."""
  sizes, keys = (2, 4000), order.round_keys(0, 0, 6)
  images = order.feistel(np.arange(8000, dtype=np.uint64), sizes, keys)
  assert np.array_equal(np.sort(images), np.arange(8000))
  found = images[:1000].copy()
  while (beyond := found >= 1000).any():
    found[beyond] = order.feistel(found[beyond], sizes, keys)
  assert np.array_equal(np.sort(found), np.arange(1000))


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_all_orders_of_a_small_set_come_equally_often(n):
  each = 20
  count = each * math.factorial(n)
  found = collections.Counter(map(tuple, epochs(n, count).tolist()))
  assert_even(np.array([found[p] for p in itertools.permutations(range(n))]), each)


@pytest.mark.parametrize("n", [9, 16, 101])
def test_positions_pairs_and_parities_are_those_of_chance(n):
  count = 3000
  orders = epochs(n, count)
  for place in (0, n // 2, n - 1):
    assert_even(np.bincount(orders[:, place], minlength=n), count / n)
  for far in (1, n // 2):  # how far apart in the set what stands so far apart in an epoch is
    apart = (orders[:, far] - orders[:, 0]) % n
    assert_even(np.bincount(apart, minlength=n)[1:], count / (n - 1))
  sets = orders[:1000]
  inversions = sum((sets[:, i, None] > sets[:, i + 1 :]).sum(1) for i in range(n))
  assert abs((inversions % 2).mean() - 0.5) < 5 * 0.5 / math.sqrt(1000)


@pytest.mark.parametrize("n", [100, 20_000])
def test_images_stay_in_place_or_side_by_side_as_often_as_by_chance(n):
  count = 2000 if n < 1000 else 200
  orders = epochs(n, count)
  fixed = (orders == np.arange(n)).sum()  # Poisson with mean 1 an epoch
  assert abs(fixed - count) < 5 * math.sqrt(count)
  beside = (np.abs(np.diff(orders, axis=1)) == 1).sum()  # 2 (n - 1) / n an epoch, nearly Poisson
  expected = 2 * count * (n - 1) / n
  assert abs(beside - expected) < 5 * math.sqrt(expected)


def test_a_large_set_is_even_at_every_scale():
  """Where images lie in the set against where they stand in an epoch, and in the next one."""
  n, count = 1_281_167, 2**18
  asked = {"num_images": n, "seed": 0, "name": "feistel"}
  first, second = (order.at(0, count, epoch=epoch, **asked) for epoch in (0, 1))
  for images in (first, second):
    assert_even(np.bincount(images * 1000 // n, minlength=1000), count / 1000, count / n)
    assert_even(np.bincount(images % 64, minlength=64), count / 64, count / n)
  both = (first * 32 // n) * 32 + second * 32 // n
  assert_even(np.bincount(both, minlength=1024), count / 1024)
  places = np.arange(count) * 32 // count * 32 + first * 32 // n
  assert_even(np.bincount(places, minlength=1024), count / 1024)
  # A class lies together in the set: how many pairs of one batch are of one class of 1,281?
  batches = np.sort((first // 1281).reshape(-1, 256), axis=1)
  pairs = len(batches) * 256 * 255 / 2 / 1001
  same = sum((batches[:, k:] == batches[:, :-k]).sum() for k in range(1, 8))
  assert abs(same - pairs) < 5 * math.sqrt(pairs)


def test_epochs_and_seeds_have_orders_of_their_own():
  asked = {"num_images": 10_000, "name": "feistel"}
  orders = [order.at(0, 10_000, seed=s, epoch=e, **asked) for s in (0, 1) for e in (0, 1)]
  for a, b in itertools.combinations(orders, 2):
    assert (a == b).sum() < 10  # 1 by chance


def test_the_order_is_the_same_on_every_version():
  # Made once with Python 3.11.7 and NumPy 2.4.6: a run under another must see this order.
  small = pipeline.positions(7, num_images=10, batch_size=5, seed=3)
  assert small.tolist() == [1, 0, 3, 5, 4]
  large = pipeline.positions(123_456, num_images=14_197_122, batch_size=5, seed=2**32 - 1)
  assert large.tolist() == [2018509, 9933388, 8684305, 6816467, 13260180]


def test_an_order_takes_the_memory_of_some_places_alone():
  order._block.cache_clear()
  tracemalloc.start()
  try:
    for step in range(0, 70_000, 999):
      pipeline.positions(step, num_images=300_000_000, batch_size=4096, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
  finally:
    tracemalloc.stop()
  assert peak < 4 * 2**20  # whole it is 2.4 GB


def test_a_part_of_a_batch_is_that_part():
  for name in order.NAMES:
    asked = {"num_images": 100, "batch_size": 20, "seed": 1, "name": name}
    whole = pipeline.positions(6, **asked)
    parts = [pipeline.positions(6, part=slice(i, i + 5), **asked) for i in range(0, 20, 5)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_batches_come_in_the_order_that_is_named():
  source = Sizes(43)
  for name in order.NAMES:
    asked = {"num_images": 43, "batch_size": 8, "seed": 1, "name": name}
    for step, batch in enumerate(train(source, total_steps=7, order_name=name)):
      assert batch["index"].tolist() == pipeline.positions(step, **asked).tolist()
