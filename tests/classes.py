"""Features of some classes that overlap, and the gradient of a classifier of them in float64."""

import jax
import numpy as np
import scipy.special

from contrastive_jax import parallel

ONE = parallel.make_mesh(jax.devices()[:1])
EIGHT = parallel.make_mesh()
CLASSES = 4


def data(n=80, dim=6, noise=1.0):
  rng = np.random.default_rng(3)
  centre = rng.normal(size=(CLASSES, dim))
  label = rng.integers(0, CLASSES, n).astype(np.int32)
  mixing = np.linalg.qr(rng.normal(size=(dim, dim)))[0] * np.geomspace(1, 0.1, dim)
  x = (centre[label] + noise * rng.normal(size=(n, dim))) @ mixing + 0.5
  return x.astype(np.float32), label


def softmax_gradient(kernel, bias, x, label):
  p = scipy.special.softmax(x @ kernel + bias, axis=1)
  p[np.arange(len(x)), label] -= 1
  return x.T @ p / len(x), p.mean(0)
