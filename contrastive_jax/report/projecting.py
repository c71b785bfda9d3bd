"""Points of a feature space in the plane: PCA by NumPy, t-SNE and UMAP where they are installed."""

import importlib.util
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from contrastive_jax import errors
from contrastive_jax.evaluation import features, picture

_MOST = 1000  # points
_FEWEST = 4  # of UMAP, whose first positions are three eigenvectors and more


def _pca(x: Float[np.ndarray, "n F"]) -> Float[np.ndarray, "n 2"]:
  return picture.pca(x)[0]


def _umap(x: Float[np.ndarray, "n F"]) -> Float[np.ndarray, "n 2"]:
  with warnings.catch_warnings():  # that it does without TensorFlow, which it has another use for
    warnings.simplefilter("ignore", ImportWarning)
    import umap

  if len(x) < _FEWEST:
    raise errors.UserError(f"UMAP needs {_FEWEST} points or more; there are {len(x)}")
  x = picture.spread_out(x)
  if not x.any():  # of which it would draw a cloud
    return np.zeros((len(x), 2), np.float32)
  neighbours = min(15, len(x) - 1)
  return umap.UMAP(n_neighbors=neighbours, random_state=0, n_jobs=1).fit_transform(x)


class Method(NamedTuple):
  """A projection: its title, what does it, and the package and the extra that it needs."""

  title: str
  project: Callable[[np.ndarray], np.ndarray]
  module: str = ""
  package: str = ""


METHODS = {
  "pca": Method("PCA", _pca),
  "tsne": Method("t-SNE", picture.tsne, "sklearn", "scikit-learn"),
  "umap": Method("UMAP", _umap, "umap", "umap-learn"),
}


def check(names: tuple[str, ...]) -> None:
  """Raises `UserError` for a projection that there is not, or whose package is missing."""
  for name in names:
    if name not in METHODS:
      raise errors.UserError(f"--projections={name} is unknown; use some of {', '.join(METHODS)}")
    method = METHODS[name]
    if method.module and importlib.util.find_spec(method.module) is None:
      raise errors.UserError(
        f"--projections={name} needs {method.package}; pip install 'contrastive_jax[{name}]', or "
        "leave it out"
      )


def project(name: str, x: Float[np.ndarray, "n F"]) -> Float[np.ndarray, "m 2"]:
  """Returns at most 1,000 points in the plane. Raises `UserError` where they are too few."""
  x = x[:_MOST]
  features.check_finite(x, "features")
  return np.asarray(METHODS[name].project(x))
