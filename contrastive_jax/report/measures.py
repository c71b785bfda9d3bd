"""Figures of a sample: how alike views and images are, how many dimensions are in use, votes."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

MOST = 1000  # rows whose pairs are all compared
_K, _TEMPERATURE = 20, 0.07  # of the vote, as in the monitor of a run


def unit(x: Float[np.ndarray, "*n F"]) -> Float[np.ndarray, "*n F"]:
  """Returns vectors at length 1; those of no length stay."""
  return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def negatives(x: Float[np.ndarray, "n F"]) -> Float[np.ndarray, " m"]:
  """Returns the cosine of each pair of different rows."""
  x = unit(x[:MOST])
  return (x @ x.T)[np.triu_indices(len(x), 1)]


def positives(pairs: Float[np.ndarray, "n 2 F"]) -> Float[np.ndarray, " n"]:
  """Returns the cosine of the two views of each image."""
  pairs = unit(pairs)
  return np.sum(pairs[:, 0] * pairs[:, 1], axis=-1)


def alignment(pairs: Float[np.ndarray, "n 2 F"]) -> float:
  """Returns the mean squared distance of two views of an image, 0 to 4 (Wang and Isola 2020)."""
  return float(np.mean(2 - 2 * positives(pairs)))


def uniformity(x: Float[np.ndarray, "n F"]) -> float:
  """Returns ln of the mean of exp(-2 d^2) over pairs of images (Wang and Isola 2020): at most 0."""
  return float(np.log(np.mean(np.exp(-2 * (2 - 2 * negatives(x))))))


def spectrum(x: Float[np.ndarray, "n F"]) -> Float[np.ndarray, " F"]:
  """Returns the eigenvalues of the covariance of unit vectors, the largest first.

  They are those of the smaller of its two products: in float64 as exact as features of float32 are.
  """
  x = unit(x.astype(np.float64))
  x = x - x.mean(axis=0)
  product = x.T @ x if x.shape[1] <= len(x) else x @ x.T
  values = np.maximum(np.linalg.eigvalsh(product)[::-1], 0) / len(x)
  return np.pad(values, (0, x.shape[1] - len(values)))


def effective_rank(eigenvalues: Float[np.ndarray, " F"]) -> float:
  """Returns (sum)^2 / sum of squares, as `collapse_rank` of a run: 1 to F."""
  return float(eigenvalues.sum() ** 2 / max(np.sum(eigenvalues**2), 1e-30))


def spread(x: Float[np.ndarray, "n F"]) -> float:
  """Returns the mean standard deviation of unit vectors, times sqrt(F), as `collapse_std`."""
  return float(unit(x.astype(np.float64)).std(axis=0).mean() * math.sqrt(x.shape[1]))


class Votes(NamedTuple):
  """What the neighbours of each query say."""

  nearest: Int[np.ndarray, "m k"]  # rows of the bank, the nearest first
  cosine: Float[np.ndarray, "m k"]
  said: Int[np.ndarray, " m"]  # class with the most votes
  certain: Float[np.ndarray, " m"]  # its share of the votes


def vote(
  bank: Float[np.ndarray, "n F"],
  label: Int[np.ndarray, " n"],
  queries: Float[np.ndarray, "m F"],
  num_classes: int,
) -> Votes:
  """Lets the k nearest rows of a bank vote, each exp(cosine / temperature); -1 does not vote."""
  k = min(_K, len(bank))
  cosine = unit(queries) @ unit(bank).T
  nearest = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
  cosine = np.take_along_axis(cosine, nearest, 1)
  weight = np.exp((cosine - cosine[:, :1]) / _TEMPERATURE) * (label[nearest] >= 0)
  votes = np.zeros((len(queries), max(num_classes, 1)))
  np.add.at(votes, (np.arange(len(queries))[:, None], np.maximum(label[nearest], 0)), weight)
  total = np.maximum(votes.sum(axis=1), 1e-30)
  return Votes(nearest, cosine, votes.argmax(axis=1), votes.max(axis=1) / total)


def confusion(
  true: Int[np.ndarray, " m"], said: Int[np.ndarray, " m"], num_classes: int
) -> Int[np.ndarray, "C C"]:
  """Returns how many images of a class (row) were said to be of which (column)."""
  counts = np.zeros((num_classes, num_classes), int)
  np.add.at(counts, (true, said), 1)
  return counts
