"""Features of some images, and what each protocol says of them: on one process as on several.

Processes that tests start run this as well.
"""

import numpy as np

from contrastive_jax import augment, data
from contrastive_jax.data import pipeline
from contrastive_jax.evaluation import (
  features,
  knn,
  linear_probe,
  linear_rates,
  logistic,
  mlp,
  transformation,
)
from contrastive_jax.evaluation import scores as scores_lib

IMAGES = 90


def extracted(mesh):
  """Features of images of which every fifth has no label, so that processes have uneven parts."""
  source = data.build("shapes", split="test", size_px=8, num_test=IMAGES)
  batches = pipeline.eval_batches(source, batch_size=14, **pipeline.this_process())
  view = augment.recipe("simclr", size_px=8)
  found = features.collect(features.OfPixels(64), {}, batches, view=view, mesh=mesh, size=IMAGES)
  label = np.where(np.arange(IMAGES) % 5 == 1, -1, found.label % 3)
  return found, features.labelled(found._replace(label=label), "the images")


def said(mesh):
  """Returns scores and what was chosen, by protocol, as JSON holds them."""
  found, known = extracted(mesh)
  x, label = known.rows("pixels"), known.label
  sgd = linear_probe.Options(batch_size=16, epochs=4, min_steps=0)
  rate, rates = linear_rates.choose(x, label, 3, sgd, mesh)
  probe = linear_probe.fit(x, label, 3, sgd, mesh)
  lbfgs = logistic.fit(x, label, 3, logistic.Options(1e-2, 1e2, 3), mesh)
  perceptron = transformation.Options(hidden_size=8, steps=20, batch_size=16, rates=(1e-3, 1e-2))
  learnt = mlp.fit(x, label, 3, perceptron, mesh)
  out = {
    "index": found.index.tolist(),
    "sum": found.rows("pixels").whole().astype(float).sum(1).tolist(),
    "few": x.take(np.array([40, 3, 3])).astype(float).sum(1).tolist(),
    "rates": [rate, list(rates.values())],
    "linear_sgd": scores_lib.of_linear(*probe, x, label, mesh).per_class,
    "kernel": probe[0].astype(float).ravel().tolist(),
    "penalty": [lbfgs.penalty, list(lbfgs.validation.values())],
    "linear_lbfgs": scores_lib.of_linear(*lbfgs.classifier, x, label, mesh).per_class,
    "mlp": [learnt.rate, list(learnt.validation.values())],
  }
  for distance in knn.DISTANCES:
    options = knn.Options(k=7, distance=distance)
    votes = knn.evaluate(x, label, found.rows("pixels"), found.label % 3, 3, options, mesh)
    out[f"knn {distance}"] = votes.per_class
  return out
