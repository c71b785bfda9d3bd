"""Numbers of tables, against cases whose answers are known."""

import math

import numpy as np
import pytest
from scipy import stats

from contrastive_jax.study import statistics

# Rank correlation of ten pairs, worked out in textbooks: rho = -29/165, without ties.
TEN = [(106, 7), (100, 27), (86, 2), (101, 50), (99, 28), (103, 29), (97, 20), (113, 12)]
TEN += [(112, 6), (110, 17)]


def test_a_deviation_is_that_of_a_sample():
  found = statistics.mean([1.0, 2.0, 3.0, 4.0])
  assert found == (2.5, pytest.approx(math.sqrt(5 / 3)), 4)


def test_one_value_has_no_deviation_and_none_no_mean():
  assert statistics.mean([0.25]) == (0.25, None, 1)
  with pytest.raises(ValueError, match="no values"):
    statistics.mean([])


def test_differences_are_paired_and_their_interval_is_students():
  found = statistics.paired([10.0, 20.0, 40.0], [11.0, 22.0, 43.0])
  assert (found.mean, found.n) == (2.0, 3)
  assert found.error == pytest.approx(1 / math.sqrt(3))
  assert found.high - 2 == 2 - found.low == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
  theirs = stats.ttest_rel([11, 22, 43], [10, 20, 40]).confidence_interval(0.95)
  assert (found.low, found.high) == pytest.approx(tuple(theirs))


def test_one_pair_has_no_interval():
  assert statistics.paired([1.0], [1.5]) == (0.5, None, None, None, 1)


@pytest.mark.parametrize(("accuracy", "n", "error"), [(0.5, 100, 0.05), (0.9, 10_000, 0.003)])
def test_the_chance_of_an_accuracy_is_binomial(accuracy, n, error):
  assert statistics.binomial_error(accuracy, n) == pytest.approx(error)


def test_a_perfect_order_is_one_of_all_orders_and_has_no_interval():
  found = statistics.agreement([1.0, 2.0, 3.0, 4.0, 5.0], [10.0, 11.0, 15.0, 90.0, 91.0])
  assert found == (pytest.approx(1), None, None, pytest.approx(2 / 120), True, 5)
  assert statistics.agreement([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]).rho == pytest.approx(-1)


def test_few_points_have_an_exact_p():
  """Of 24 orders of four, four have a correlation of 0.8 and more, and four of -0.8 and less."""
  found = statistics.agreement([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 4.0, 3.0])
  assert (found.rho, found.p, found.exact) == (pytest.approx(0.8), pytest.approx(8 / 24), True)


def test_an_interval_is_that_of_all_draws_of_points():
  """Of 27 draws of three, 3 are of one point; 6 correlate by 0.5, 12 by 1 and 6 by -1."""
  found = statistics.agreement([1.0, 2.0, 3.0], [1.0, 3.0, 2.0])
  assert (found.rho, found.low, found.high) == pytest.approx((0.5, -1, 1))


def test_an_interval_is_that_of_a_plain_loop_over_draws():
  drawn, rng = [], np.random.default_rng(3)
  for _ in range(3000):
    ours, theirs = np.array(TEN)[rng.integers(10, size=10)].T
    drawn.append(np.corrcoef(stats.rankdata(ours), stats.rankdata(theirs))[0, 1])
  found = statistics.agreement(*zip(*TEN, strict=True))
  # Two draws of so many differ by 0.02 at these ends (standard deviation of the quantile).
  assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.06)


def test_many_points_are_as_in_scipy():
  found = statistics.agreement(*zip(*TEN, strict=True))
  theirs = stats.spearmanr(*zip(*TEN, strict=True))
  assert found.rho == pytest.approx(-29 / 165) == pytest.approx(theirs.statistic)
  assert found.p == pytest.approx(theirs.pvalue, abs=0.02)  # which takes a t distribution for it
  assert (found.exact, found.n) == (False, 10)


def test_equal_values_share_a_rank():
  ours, theirs = [1.0, 2.0, 2.0, 3.0, 5.0], [2.0, 1.0, 4.0, 4.0, 6.0]
  assert statistics.agreement(ours, theirs).rho == pytest.approx(
    stats.spearmanr(ours, theirs).statistic
  )


@pytest.mark.parametrize("ours", [[1.0, 2.0], [1.0, 1.0, 1.0]])
def test_where_there_is_no_order_there_is_no_agreement(ours):
  assert statistics.agreement(ours, [float(i) for i in range(len(ours))]) is None


def test_the_same_table_comes_out_every_time():
  columns = [math.sin(i) for i in range(12)], [math.cos(i * i) for i in range(12)]
  assert statistics.agreement(*columns) == statistics.agreement(*columns)
