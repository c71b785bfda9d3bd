"""Features take their size once, whatever order they come in."""

import tracemalloc

import numpy as np
import pytest

from contrastive_jax.evaluation import own_rows, rows


def add(found, index):
  index = np.asarray(index)
  found.add({"index": index, "layers/h": np.stack([index, -index], axis=1).astype(np.float32)})


@pytest.mark.parametrize("size", [None, 9, 20])
def test_rows_come_in_the_order_of_their_index(size):
  found = rows.Rows(size)
  for index in ([4, 5], [0, 1, 2], [8], [3, 6, 7]):
    add(found, index)
  out = found.finish()
  assert out["index"].tolist() == list(range(9))
  assert out["layers/h"].tolist() == [[i, -i] for i in range(9)]


def test_more_rows_than_were_announced_are_no_silent_loss():
  found = rows.Rows(3)
  add(found, [0, 1])
  with pytest.raises(ValueError, match="4 rows came, 3 were to come"):
    add(found, [2, 3])


def test_rows_in_order_and_all_that_is_asked_of_them_take_little_more_than_their_size():
  n, width, batch = 200_000, 64, 1000
  tracemalloc.start()
  try:
    found = rows.Rows(n)
    for start in range(0, n, batch):
      index = np.arange(start, start + batch)
      found.add({"index": index, "layers/h": np.ones((batch, width), np.float32)})
    x = found.finish()["layers/h"]
    assert len(rows.not_finite(x)) == 0
    peak = tracemalloc.get_traced_memory()[1]
  finally:
    tracemalloc.stop()
  assert peak < 1.3 * x.nbytes


@pytest.mark.parametrize("n, width", [(70_000, 3), (65_536, 2), (5, 4)])
def test_mean_and_deviation_are_numpys_bit_for_bit(n, width):
  x = np.random.default_rng(0).normal(3, 2, (n, width)).astype(np.float32)
  mean, std = own_rows.moments(own_rows.OwnRows(x))
  np.testing.assert_array_equal(mean, x.mean(axis=0, dtype=np.float64))
  np.testing.assert_array_equal(std, x.std(axis=0, dtype=np.float64))


def test_rows_that_are_not_finite_are_found_in_every_piece():
  x = np.zeros((70_000, 2))
  x[[3, 65_535, 65_536, 69_999], [0, 1, 0, 1]] = np.nan, np.inf, 1e300, -np.inf
  assert rows.not_finite(x).tolist() == [3, 65_535, 65_536, 69_999]
