"""Points of a feature space in the plane: PCA by NumPy, t-SNE and UMAP where they are installed."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from contrastive_jax import errors
from contrastive_jax.evaluation import picture

_MOST = 1000  # points


def _pca(x: Float[np.ndarray, "n F"]) -> Float[np.ndarray, "n 2"]:
  return picture.pca(x)[0]


def _umap(x: Float[np.ndarray, "n F"]) -> Float[np.ndarray, "n 2"]:
  try:
    import umap
  except ImportError as error:
    raise errors.UserError(
      "--projections=umap needs umap-learn; pip install 'contrastive_jax[umap]', or leave it out"
    ) from error
  neighbours = min(15, len(x) - 1)
  return umap.UMAP(n_neighbors=neighbours, random_state=0, n_jobs=1).fit_transform(x)


METHODS: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
  "pca": ("PCA", _pca),
  "tsne": ("t-SNE", picture.tsne),
  "umap": ("UMAP", _umap),
}


def check(names: tuple[str, ...]) -> None:
  """Raises `UserError` for a projection that there is not."""
  for name in names:
    if name not in METHODS:
      raise errors.UserError(f"--projections={name} is unknown; use some of {', '.join(METHODS)}")


def project(name: str, x: Float[np.ndarray, "n F"]) -> Float[np.ndarray, "m 2"]:
  """Returns at most 1,000 points in the plane. Raises `UserError` if a package is missing."""
  return np.asarray(METHODS[name][1](x[:_MOST]))
