"""Numbers in, numbers out: means over seeds, paired differences, agreement of ranks, chance.

What each interval covers: that of a difference, other seeds; that of a rank correlation, other
points; the binomial error of an accuracy, other test images. None covers what the others do.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LEVEL = 0.95  # of every interval
MIN_RANKED = 3  # points; two have only one order and its reverse
_MAX_EXACT = 8  # points, 40,320 orders: more are drawn at random
_RESAMPLES = 10_000
_SEED = 0  # of resampling: the same table every time


class Mean(NamedTuple):
  """A mean over seeds."""

  mean: float
  deviation: float | None  # standard deviation of one value, by n - 1; None of a single one
  n: int


class Difference(NamedTuple):
  """The mean of paired differences."""

  mean: float
  error: float | None  # standard error of the mean; None of a single pair
  low: float | None  # of Student's t interval
  high: float | None
  n: int


class Agreement(NamedTuple):
  """Spearman's rank correlation of two columns."""

  rho: float
  low: float | None  # of the percentile bootstrap over the points; None where it says nothing
  high: float | None
  p: float  # two-sided, of the permutation test
  exact: bool  # whether that took every order, or some at random
  n: int


def mean(values: Sequence[float]) -> Mean:
  """Returns mean and standard deviation. Raises `ValueError` without values."""
  if not values:
    raise ValueError("no values")
  average = math.fsum(values) / len(values)
  if len(values) == 1:
    return Mean(average, None, 1)
  squares = math.fsum((value - average) ** 2 for value in values)
  return Mean(average, math.sqrt(squares / (len(values) - 1)), len(values))


def paired(first: Sequence[float], second: Sequence[float]) -> Difference:
  """Returns the mean of `second - first`, pair by pair, and its interval.

  Pairing takes out what two values of a seed have in common: order of images, initial weights.
  """
  from scipy import special  # like scipy.stats below: slow to load, and not always needed

  average, deviation, n = mean([b - a for a, b in zip(first, second, strict=True)])
  if deviation is None:
    return Difference(average, None, None, None, n)
  error = deviation / math.sqrt(n)
  reach = float(special.stdtrit(n - 1, (1 + LEVEL) / 2)) * error
  return Difference(average, error, average - reach, average + reach, n)


def binomial_error(accuracy: float, num_images: int) -> float:
  """Returns the standard error of an accuracy in [0, 1] that so many images make."""
  return math.sqrt(accuracy * (1 - accuracy) / num_images)


def agreement(ours: Sequence[float], theirs: Sequence[float]) -> Agreement | None:
  """Returns how far two columns order their points alike; equal values share a rank.

  Returns None where that has no meaning: fewer than `MIN_RANKED` points, or a column of equals.
  """
  from scipy import stats

  x, y = (stats.rankdata(np.asarray(values, float)) for values in (ours, theirs))
  n = len(x)
  if len(y) != n:
    raise ValueError(f"{n} points against {len(y)}")
  if n < MIN_RANKED or not (np.ptp(x) and np.ptp(y)):
    return None
  rho = float(_correlation(x[None], y[None])[0])
  rng = np.random.default_rng(_SEED)
  exact = n <= _MAX_EXACT
  if exact:
    orders = np.array(list(itertools.permutations(range(n))))
  else:
    orders = rng.permuted(np.tile(np.arange(n), (_RESAMPLES, 1)), axis=1)
  as_far = np.abs(_correlation(x[None], y[orders])) >= abs(rho) - 1e-12  # rounding is no order
  p = float(as_far.mean()) if exact else float((1 + as_far.sum()) / (1 + len(orders)))
  return Agreement(rho, *_bootstrap(x, y, rng), p, exact, n)


def _bootstrap(
  x: np.ndarray, y: np.ndarray, rng: np.random.Generator
) -> tuple[float | None, float | None]:
  """Returns the percentile interval over resampled points.

  Draws of which one column has only equals have no correlation and are left out. A column of
  perfect order stays one in every draw: the interval would be a point, and none is given.
  """
  from scipy import stats

  chosen = rng.integers(len(x), size=(_RESAMPLES, len(x)))
  a, b = stats.rankdata(x[chosen], axis=1), stats.rankdata(y[chosen], axis=1)
  varied = (np.ptp(a, axis=1) > 0) & (np.ptp(b, axis=1) > 0)
  found = _correlation(a[varied], b[varied])
  if not len(found) or np.ptp(found) < 1e-12:
    return None, None
  low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
  return float(low), float(high)


def _correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
  """Returns Pearson's correlation, row by row: [rows, n], [rows, n] -> [rows]."""
  x = x - x.mean(axis=-1, keepdims=True)
  y = y - y.mean(axis=-1, keepdims=True)
  return (x * y).sum(-1) / np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
