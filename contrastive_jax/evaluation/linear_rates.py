"""The learning rate of a linear probe, chosen on training images that it does not see.

All rates are tried at once: SGD's update is linear in the rate, so that one program steps a
classifier for each.
"""

from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Int

from contrastive_jax import parallel
from contrastive_jax.evaluation import (
  features,
  held_out,
  linear_probe,
  linear_steps,
  probe_batches,
  scores,
)
from contrastive_jax.evaluation.own_rows import OwnRows


def choose(
  x: Float[np.ndarray, "n F"] | OwnRows,
  label: Int[np.ndarray, " n"],
  num_classes: int,
  options: linear_probe.Options,
  mesh: Mesh,
  *,
  seed: int = 0,
  progress: Callable[[int, int], None] | None = None,
) -> tuple[float, dict[float, float]]:
  """Tries `options.rates` on a held-out part of the training set, all at once.

  On features without augmentation also where the probe is then trained on crops: those features are
  there already. `progress` is told how many of the steps are under way.

  Returns:
    The best rate, of equals the first, and the held-out top-1 of each. `base_lr` and {} if there
    are no rates; nothing is held out for a single one.

  Raises:
    UserError: too few examples to hold any out, or a feature is not finite.
  """
  features.check_finite(x, "features")
  rates = options.rates or (options.base_lr,)
  if len(rates) == 1:
    return rates[0], {}
  x = OwnRows.of(x)
  fitted, unseen = held_out.split(
    len(x), options.validation_fraction, seed, "linear_sgd", "rates=()"
  )
  options = probe_batches.sized(options, len(fitted))
  steps_per_epoch, total, batches, (mean, std) = linear_probe.batches_of(
    x, label, options, mesh, seed, fitted
  )
  start = linear_steps.start(x.shape[1], num_classes, options, seed)
  start = jax.tree.map(lambda leaf: np.stack([leaf] * len(rates)), start)
  with parallel.use(mesh):
    relative = parallel.replicate(np.asarray(rates, np.float32) / options.base_lr, mesh)
    classifiers = parallel.replicate(start, mesh)
    states = parallel.replicate(jax.vmap(linear_steps.optimizer(options, 1).init)(start), mesh)
    done = 0
    for batch in batches:
      done += batch[1].shape[1]
      if progress:
        progress(done, total)
      classifiers, states = linear_steps.steps_of_rates(
        options, steps_per_epoch, classifiers, states, relative, *batch
      )
    classifiers = parallel.fetch(classifiers)
  found = {}
  for rate, kernel, bias in zip(rates, classifiers["kernel"], classifiers["bias"], strict=True):
    found[rate] = 0.0
    if np.isfinite(kernel).all():  # else it diverged
      classifier = linear_probe.fold(kernel.T, bias, mean, std)
      found[rate] = scores.of_linear(*classifier, x, label, mesh, unseen).top1
  return max(found, key=found.get), found
