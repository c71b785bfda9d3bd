"""Features that are not finite are refused by whatever takes features: how many rows, and which."""

import inspect

import jax
import numpy as np
import pytest

from contrastive_jax import errors, parallel
from contrastive_jax.evaluation import knn, linear_probe, linear_rates, logistic, picture, scores

N, F, CLASSES = 30, 4, 3
BAD = (4, 17, 29)
LABEL = np.arange(N) % CLASSES
KERNEL, BIAS = np.zeros((F, CLASSES), np.float32), np.zeros(CLASSES, np.float32)


def features():
  return np.random.default_rng(0).normal(size=(N, F)).astype(np.float32)


MESH = parallel.make_mesh(jax.devices()[:1])
CALLS = {
  "knn.accuracy, train": lambda x, good: knn.accuracy(x, LABEL, good, LABEL, CLASSES, k=3),
  "knn.accuracy, test": lambda x, good: knn.accuracy(good, LABEL, x, LABEL, CLASSES, k=3),
  "knn.evaluate": lambda x, good: knn.evaluate(
    x, LABEL, good, LABEL, CLASSES, knn.Options(k=3, distance="euclidean"), MESH
  ),
  "scores.of_linear": lambda x, good: scores.of_linear(KERNEL, BIAS, x, LABEL, MESH),
  "scores.of_classifier": lambda x, good: scores.of_classifier(
    lambda kernel, rows: rows @ kernel, KERNEL, x, LABEL, CLASSES, MESH
  ),
  "linear_probe.fit": lambda x, good: linear_probe.fit(
    x, LABEL, CLASSES, linear_probe.Options(batch_size=10, epochs=1), MESH
  ),
  "linear_rates.choose": lambda x, good: linear_rates.choose(
    x, LABEL, CLASSES, linear_probe.Options(rates=(0.1, 1.0)), MESH
  ),
  "linear_probe.fit_augmented": lambda x, good: linear_probe.fit_augmented(
    None, "h", {}, None, CLASSES, linear_probe.Options(), MESH, view=None, clean=x
  ),
  "logistic.fit": lambda x, good: logistic.fit(x, LABEL, CLASSES, logistic.Options(), MESH),
  "picture.pca": lambda x, good: picture.pca(x),
  "picture.tsne": lambda x, good: picture.tsne(x),
  "picture.spread_out": lambda x, good: picture.spread_out(x),
  "picture.draw": lambda x, good: picture.draw(x, LABEL, "none.png", picture.Options()),
}
# NaN of both signs: on a CPU 0/0 has the sign bit set, and a sort puts the two at opposite ends.
VALUES = (np.nan, -np.nan, np.inf, 1e300)


@pytest.mark.parametrize("value", VALUES, ids=["nan", "-nan", "inf", "beyond float32"])
@pytest.mark.parametrize("call", CALLS)
def test_rows_that_are_not_finite_are_counted_and_named(call, value):
  if call == "picture.tsne":
    pytest.importorskip("sklearn")
  rows = features().astype(np.float64)
  rows[list(BAD), 1] = value
  with pytest.raises(errors.UserError, match="features.*: 3 of 30 rows .* number 4, 17, 29 "):
    CALLS[call](rows, features())


def test_no_function_of_features_is_missing_here():
  """By the names of their arguments: whoever takes rows of features calls them so."""
  named = {call.partition(",")[0] for call in CALLS}
  # On what `fit` has seen.
  helpers = {"linear_probe.standardization", "linear_probe.batches_of", "logistic.principal_axes"}
  for module in (knn, linear_probe, linear_rates, logistic, picture, scores):
    short = module.__name__.rpartition(".")[2]
    for name, function in inspect.getmembers(module, inspect.isfunction):
      if function.__module__ == module.__name__ and not name.startswith("_"):
        if {"x", "train_features", "clean"} & set(inspect.signature(function).parameters):
          assert f"{short}.{name}" in named | helpers
